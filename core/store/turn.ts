const queues = new WeakMap<object, Map<string, Promise<void>>>()

/** Runs tasks of one `owner` and `name` one after another, in this process; a failing task does not stop the next. */
export async function inTurn<T>(owner: object, name: string, task: () => Promise<T>): Promise<T> {
  const queue = queueOf(owner)
  const run = (queue.get(name) ?? Promise.resolve()).then(task)
  const end = run.then(
    () => {},
    () => {},
  )
  queue.set(name, end)
  try {
    return await run
  } finally {
    if (queue.get(name) === end) queue.delete(name)
  }
}

function queueOf(owner: object): Map<string, Promise<void>> {
  let queue = queues.get(owner)
  if (!queue) queues.set(owner, (queue = new Map()))
  return queue
}
