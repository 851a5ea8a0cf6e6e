/**
 * The syntax of HTTP/1.1 (RFC 9110 §5, RFC 9112): no more is let in, and none is sent out.
 */

/** A method, or the name of a field. */
export const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** The value of a field. */
export const VALUE = "[\\t -~\\x80-\\xff]*";
/** A host and perhaps a port, as a Host field has them; none where the target names none. */
export const HOST = "(?:\\[[0-9A-Fa-f:.]+\\]|\\[v[0-9A-Fa-f]+\\.[!$&'()*+,;=:\\w.~-]+\\]|" +
  "(?:[!$&'()*+,;=\\w.~-]|%[0-9A-Fa-f]{2})*)(?::\\d{0,5})?";
const QUOTED = '"(?:[\\t !#-\\[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"';
/** The extensions of a chunk, which mean nothing to us. */
export const CHUNK_EXTENSIONS: string =
  `(?:[ \\t]*;[ \\t]*${TOKEN}(?:[ \\t]*=[ \\t]*(?:${TOKEN}|${QUOTED}))?)*`;
/** A field, and nothing else: no space before the colon, no folded line, no bare LF. */
export const FIELD: string = `${TOKEN}:${VALUE}\\r\\n`;
