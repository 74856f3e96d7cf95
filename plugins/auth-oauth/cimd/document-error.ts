/** A client metadata document that is not there, or is not one. */
export class DocumentError extends Error {
  /** It says nothing of the client: the document may be there again later. */
  readonly passing: boolean
  constructor(message: string, passing: boolean) {
    super(message)
    this.name = 'DocumentError'
    this.passing = passing
  }
}
