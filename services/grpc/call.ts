// What a handler learns about the call that it answers.

export interface Call {
  /** Full method name: `/containerd.services.images.v1.Images/List`. */
  readonly method: string;
  /** Aborted when the client went away, cancelled, or its deadline passed. */
  readonly signal: AbortSignal;
  /**
   * The namespace header, checked.
   * Throws `failed precondition` ("namespace is required") when absent, `invalid argument` when ill-formed.
   */
  namespace(): string;
  /** The namespace header as sent, undefined when absent: for services that work without one. */
  readonly rawNamespace: string | undefined;
  /** The lease header, undefined when absent or empty. Existence is checked by whoever uses it. */
  readonly lease: string | undefined;
  /** Sends the response's headers now instead of with the first message: tells the client that the call is in effect. */
  sendHeaders(): void;
}
