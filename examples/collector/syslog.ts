/**
 * Lines of syslog, as `logger` and daemons send them.
 */

const SEVERITIES = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/** `<priority>`, and in RFC 5424 the version of the format behind it. */
const LINE = /^<(\d{1,3})>(?:1 )?(.*)$/s;
const PRIORITY_MAX = 191;
/** These characters end a line, or lead the terminal. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}]/gu;

/** A line of syslog. */
export interface SyslogEntry {
  readonly severity: string;
  readonly text: string;
}

/** Reads a datagram of syslog. Null where it is none. */
export function readSyslog(datagram: string): SyslogEntry | null {
  const [, priority, text] = LINE.exec(datagram) ?? [];
  if (text === undefined || Number(priority) > PRIORITY_MAX) return null;
  // One line out for one datagram in: nobody adds lines of others.
  const printable = text.trimEnd().replace(UNPRINTABLE, " ");
  return { severity: SEVERITIES[Number(priority) % 8]!, text: printable };
}
