/**
 * The progress of a bench, on standard error: standard output is for its figures.
 */
import process from "node:process";

/** A line is printed so often where none can be rewritten: in a log, in CI. */
const LINE_MS_MIN = 15_000;

/** Says what is being done, and how long the rest may take. */
export class Progress {
  readonly #steps: number;
  readonly #began = performance.now();
  #done = -1;
  #saidMs = -Infinity;

  /** Of so many steps that take about the same time; 0 when nobody knows. */
  constructor(steps = 0) {
    this.#steps = steps;
  }

  /** Begins a step; the one before is done. */
  step(text: string): void {
    this.#done += 1;
    const { stderr } = process;
    if (stderr.isTTY) stderr.write(`\r\x1b[K${this.#left()}${text}`);
    else if (performance.now() - this.#saidMs >= LINE_MS_MIN) {
      this.#saidMs = performance.now();
      stderr.write(`${this.#left()}${text}\n`);
    }
  }

  /** Takes the line away: nothing is left. */
  end(): void {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }

  #left(): string {
    const done = Math.min(this.#done / this.#steps, 1);
    if (!(done > 0)) return "";
    const seconds = (performance.now() - this.#began) / 1000 * (1 / done - 1);
    const left = seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
    return `[${Math.floor(100 * done)} %, ${left} left] `;
  }
}
