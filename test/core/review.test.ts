import { expect, test } from 'vitest'
import type { AuthProvider } from '../../core/auth.ts'
import { createReview } from '../../core/review.ts'

function provider(review: () => Promise<void>): AuthProvider {
  return { authenticate: () => undefined, review }
}

test('one review at a time; what changes meanwhile is looked at once more, however often it changes', async () => {
  let open = (): void => {}
  let runs = 0
  const slow = provider(() => {
    runs++
    return new Promise((resolve) => (open = resolve))
  })
  const review = createReview([slow], { error: Object.assign(() => {}, { raw: () => {} }) })
  const first = review()
  void review()
  void review()
  expect(runs).toBe(1)
  open()
  await new Promise((resolve) => setImmediate(resolve))
  expect(runs).toBe(2)
  open()
  await first
  expect(runs).toBe(2)
})

test('a provider that fails is told of and keeps no other one from it', async () => {
  const errors: string[] = []
  let reviewed = false
  const review = createReview(
    [
      provider(() => Promise.reject(new Error('disk'))),
      { authenticate: () => undefined },
      provider(async () => void (reviewed = true)),
    ],
    { error: Object.assign((message: string) => void errors.push(message), { raw: () => {} }) },
  )
  await review()
  expect(errors).toEqual([expect.stringMatching(/could not be reviewed: disk/)])
  expect(reviewed).toBe(true)
  await review()
  expect(errors).toHaveLength(2)
})
