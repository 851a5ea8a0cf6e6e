/**
 * How far a bench is, on standard error: standard output is for what it found.
 */
import process from "node:process";

/** How often a line is printed where none can be rewritten: in a log, in CI. */
const LINE_MS_MIN = 15_000;

/** Says what is being done, and how long the rest may take. */
export class Progress {
  readonly #totalSeconds: number;
  readonly #began = performance.now();
  #doneSeconds = 0;
  #stepSeconds = 0;
  #saidMs = -Infinity;

  /** Of steps that should take so long together; 0 when nobody knows. */
  constructor(totalSeconds = 0) {
    this.#totalSeconds = totalSeconds;
  }

  /** A step begins, that should take so long; the one before is done. */
  step(text: string, seconds = 0): void {
    this.#doneSeconds += this.#stepSeconds;
    this.#stepSeconds = seconds;
    const { stderr } = process;
    if (stderr.isTTY) stderr.write(`\r\x1b[K${this.#left()}${text}`);
    else if (performance.now() - this.#saidMs >= LINE_MS_MIN) {
      this.#saidMs = performance.now();
      stderr.write(`${this.#left()}${text}\n`);
    }
  }

  /** Nothing is left: the line goes. */
  end(): void {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }

  /** Steps so far tell how wrong the estimate is on this machine. */
  #left(): string {
    if (this.#totalSeconds === 0) return "";
    const done = Math.min(this.#doneSeconds, this.#totalSeconds);
    const tookSeconds = (performance.now() - this.#began) / 1000;
    const pace = done > 0 ? tookSeconds / done : 1;
    const left = duration((this.#totalSeconds - done) * pace);
    return `[${Math.floor(100 * done / this.#totalSeconds)} %, ${left} left] `;
  }
}

/** A length of time as people say it: "40 s", "12 min", "3.5 h". */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
