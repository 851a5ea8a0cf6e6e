/**
 * The error of a request.
 */

/** Answered with its status; its connection is closed then, for nobody knows where the next begins. */
export class HttpError extends Error {
  /** The status of the answer: 400 to 599. */
  readonly status: number;

  /** The reason goes into the body of the answer. */
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}
