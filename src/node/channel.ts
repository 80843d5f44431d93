/** `shmstruct/channel` on Node.js: subscribers. */
import { unsupported } from "./unsupported.ts";

export { Subscriber } from "../channel/subscriber.ts";
export const Loan = unsupported("Loan");
export const Publisher = unsupported("Publisher");
