/**
 * A barrier for the compiler, not the processor: JavaScriptCore hoists plain reads of shared memory out of loops
 * (`while (view.flag === 0);` would never end) unless a store to some typed array comes before each of them.
 */
export const barrierWord: Int32Array = new Int32Array(1);

export function barrier(): void {
  barrierWord[0] = 0;
}
