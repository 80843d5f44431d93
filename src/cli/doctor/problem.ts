/** What `doctor` finds. */
export interface Problem {
  /** `"fault"`: something is wrong now; `"risk"`: it may become wrong. */
  readonly severity: "fault" | "risk";
  /** The file or directory it is about. */
  readonly path: string;
  readonly problem: string;
  /** What to do. */
  readonly advice: string;
}

export const fault = (path: string, problem: string, advice: string): Problem => ({
  severity: "fault",
  path,
  problem,
  advice,
});

export const risk = (path: string, problem: string, advice: string): Problem => ({
  severity: "risk",
  path,
  problem,
  advice,
});
