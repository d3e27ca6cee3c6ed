// The functions of davit.node as they are: plain values, in the order of the C++ side, null where
// there is nothing. index.ts gives them the face that the rest sees.

export interface NativeOutcome {
  /** Exit code, when signal is 0. */
  readonly code: number;
  readonly signal: number;
  readonly timedOut: boolean;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

export interface Native {
  /** Rejects when the program cannot be started. `args` with the name it is called by; `env` as NAME=value; `cwd` '' for the caller's. */
  runProgram(
    file: string,
    args: readonly string[],
    env: readonly string[],
    cwd: string,
    input: Uint8Array,
    timeoutMs: number,
  ): Promise<NativeOutcome>;
}
