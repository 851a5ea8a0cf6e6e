/**
 * How HTTP/1.1 is written (RFC 9110 §5, RFC 9112): no more is let in, and none is sent out.
 */

/** A method, or the name of a field. */
export const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** What a field says. */
export const VALUE = "[\\t -~\\x80-\\xff]*";
/** A field, and nothing else: no space before the colon, no folded line, no bare LF. */
export const FIELD: string = `${TOKEN}:${VALUE}\\r\\n`;
