/**
 * Proxies of others, each run with a configuration that a test writes.
 */
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { freePort } from "../../bench/harness/child.ts";
import { withDirectory } from "./library.ts";
import { pemFolder, serverOf } from "./outside.ts";

/** The part of Debian's nginx that passes on what is no HTTP; a package of its own. */
const NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** True where nginx passes on what is no HTTP. */
export const HAS_NGINX_STREAM: boolean = existsSync(NGINX_STREAM);

/** The arguments that start a proxy with a file of configuration. */
const ARGS = {
  haproxy: (file: string) => ["-f", file, "-db"],
  nginx: (file: string, folder: string) => [
    ...["-c", file, "-p", folder, "-e", `${folder}/error`, "-g", "daemon off;"],
  ],
  stunnel: (file: string) => [file],
};

/** A proxy that can be run. */
export type ProxyName = keyof typeof ARGS;

/** The first lines of a configuration of nginx. */
export function nginxHead(folder: string): string {
  const load = HAS_NGINX_STREAM ? `load_module ${NGINX_STREAM};` : "";
  return `${load} worker_processes 1; master_process off; pid ${folder}/pid; events {}`;
}

/** Runs a proxy with a configuration, at a free port, while it calls with that. */
export function withProxy(
  name: ProxyName,
  configure: (port: number, folder: string) => string,
  call: (port: number) => Promise<void>,
): Promise<void> {
  return withDirectory(async (folder) => {
    cpSync(pemFolder(), folder, { recursive: true });
    const port = await freePort();
    const file = `${folder}/configuration`;
    writeFileSync(file, configure(port, folder));
    await using _running = await serverOf(port, name, ARGS[name](file, folder));
    await call(port);
  });
}
