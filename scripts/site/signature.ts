/**
 * What `deno doc --json` says of an export, and its types written as TypeScript, with links.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { escapeHtml } from "./html.ts";

/** A type; `value` is what its kind makes of it. */
export interface Type {
  kind: string;
  repr?: string;
  // deno-lint-ignore no-explicit-any
  value?: any;
}

/** A parameter of a function. */
export interface Parameter {
  kind: "identifier" | "assign" | "object" | "rest" | "array";
  name?: string;
  optional?: boolean;
  tsType?: Type;
  left?: Parameter;
  arg?: Parameter;
}

/** One tag of a doc comment. */
export interface Tag {
  kind: string;
  doc?: string;
  tsType?: Type;
}

/** A doc comment. */
export interface Doc {
  doc?: string;
  tags?: Tag[];
}

/** A function's parameters and result. */
export interface Callable {
  params: Parameter[];
  returnType?: Type;
  typeParams?: { name: string; constraint?: Type; default?: Type }[];
  /** An implementation behind overloads. */
  hasBody?: boolean;
}

/** A property, a method or an accessor of a class or an interface. */
export interface Member extends Partial<Callable> {
  name: string;
  kind?: string;
  jsDoc?: Doc;
  optional?: boolean;
  readonly?: boolean;
  isStatic?: boolean;
  computed?: boolean;
  tsType?: Type;
  functionDef?: Callable;
  location: { filename: string; line: number };
}

/** What a declaration is. */
export interface Definition extends Partial<Callable> {
  extends?: Type[] | string;
  implements?: Type[];
  constructors?: Member[];
  properties?: Member[];
  methods?: Member[];
  tsType?: Type;
}

/** One declaration of a name. */
export interface Declaration {
  kind: "function" | "class" | "interface" | "typeAlias" | "variable";
  jsDoc?: Doc;
  def: Definition;
  location: { filename: string; line: number };
}

/** An exported name. */
export interface Export {
  name: string;
  declarations: Declaration[];
}

/** What mod.ts says of itself, and all that it exports, in its order. */
export interface Module {
  /** The comment of the module. */
  doc: Doc;
  exports: Export[];
}

/** Reads mod.ts. */
export function readModule(root: string): Module {
  const json = execFileSync("node_modules/.bin/deno", ["doc", "--json", "mod.ts"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 << 20,
    env: { ...process.env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const { version, nodes } = JSON.parse(json);
  if (version !== 2) throw new Error(`Cannot read version ${version} of deno doc's JSON`);
  const [module] = Object.values(nodes) as { module_doc: Doc; symbols: Export[] }[];
  return { doc: module!.module_doc, exports: module!.symbols };
}

/** Makes a name a link, or leaves it. */
export type LinkName = (name: string) => string;

/** Types as HTML. A kind of type that is not known here is an error: it would be missing. */
export class Printer {
  readonly #link: LinkName;

  /** A printer whose names are linked so. */
  constructor(link: LinkName) {
    this.#link = link;
  }

  /** A type. */
  type({ kind, repr, value }: Type): string {
    const each = (types: Type[], by: string) => types.map((type) => this.type(type)).join(by);
    switch (kind) {
      case "keyword":
      case "this":
        return escapeHtml(repr ?? kind);
      case "literal":
        return escapeHtml(value.kind === "string" ? JSON.stringify(value.string) : repr!);
      case "typeRef":
        return this.#link(value.typeName) +
          (value.typeParams ? `&lt;${each(value.typeParams, ", ")}&gt;` : "");
      case "union":
        return each(value, " | ");
      case "intersection":
        return each(value, " &amp; ");
      case "tuple":
        return `[${each(value, ", ")}]`;
      case "array":
        return `${this.type(value)}[]`;
      case "parenthesized":
        return `(${this.type(value)})`;
      case "typeOperator":
        return `${value.operator} ${this.type(value.tsType)}`;
      case "indexedAccess":
        return `${this.type(value.objType)}[${this.type(value.indexType)}]`;
      case "fnOrConstructor":
        return `${this.#parameters(value)} =&gt; ${this.type(value.tsType)}`;
      case "typeLiteral":
        return `{ ${value.properties.map((one: Member) => this.property(one)).join("; ")} }`;
      default:
        throw new Error(`Cannot write a type of kind ${kind}: ${JSON.stringify(value)}`);
    }
  }

  /** A property with its type. */
  property({ name, readonly, optional, tsType }: Member): string {
    const type = tsType === undefined ? "" : `: ${this.type(tsType)}`;
    return `${readonly ? "readonly " : ""}${escapeHtml(name)}${optional ? "?" : ""}${type}`;
  }

  #parameters({ params, typeParams = [] }: Callable): string {
    const types = typeParams.map((one) =>
      one.name + (one.constraint ? ` extends ${this.type(one.constraint)}` : "") +
      (one.default ? ` = ${this.type(one.default)}` : "")
    );
    const generic = types.length > 0 ? `&lt;${types.join(", ")}&gt;` : "";
    return `${generic}(${params.map((one) => this.#parameter(one)).join(", ")})`;
  }

  #parameter(parameter: Parameter): string {
    const { kind, left, arg, optional } = parameter;
    const inner = left ?? arg ?? parameter;
    const tsType = parameter.tsType ?? inner.tsType;
    // What a signature takes apart has no name in it: it is the options.
    const name = inner.name ?? "options";
    const mark = optional || kind === "assign" ? "?" : "";
    return `${kind === "rest" ? "..." : ""}${name}${mark}${tsType ? `: ${this.type(tsType)}` : ""}`;
  }

  /** A function or method under its name. */
  callable(name: string, callable: Callable): string {
    const result = callable.returnType ? `: ${this.type(callable.returnType)}` : "";
    return `${escapeHtml(name)}${this.#parameters(callable)}${result}`;
  }

  /** A member of a class or interface. */
  member(member: Member): string {
    if (member.name === "constructor") {
      return this.callable("new ", member as Callable);
    }
    const callable = member.functionDef ?? (member.params ? member as Callable : undefined);
    const name = member.computed || member.name.startsWith("[")
      ? `[${member.name.replace(/^\[|\]$/g, "")}]`
      : member.name;
    const before = member.isStatic ? "static " : "";
    if (callable === undefined) return before + this.property(member);
    if (member.kind !== "getter") return before + this.callable(name, callable);
    return `${before}readonly ${escapeHtml(name)}: ${this.type(callable.returnType!)}`;
  }
}
