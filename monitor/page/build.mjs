// Bundles the page into dist/ (what the monitor embeds), or its tests into dist-test/ with --tests, with the made-up
// plant that the page can be looked at with (test/fixture).
// The types of the API come from ../openapi.json, which a Rust test holds against the routes.
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import openapiTS, { astToString } from "openapi-typescript";

const here = dirname(fileURLToPath(import.meta.url));
const tests = process.argv.includes("--tests");

const types = await openapiTS(new URL("../openapi.json", import.meta.url));
writeFileSync(join(here, "src/openapi.d.ts"), `// Made by build.mjs from ../openapi.json.\n${astToString(types)}`);

const out = join(here, tests ? "dist-test" : "dist");
rmSync(out, { recursive: true, force: true });
mkdirSync(out);
await build({
  entryPoints: tests
    ? [...readdirSync(join(here, "test")).filter((file) => file.endsWith(".test.ts")), "fixture/server.ts"].map((file) => join(here, "test", file))
    : { app: join(here, "src/main.ts"), style: join(here, "src/style.css") },
  outdir: out,
  ...(tests ? { outbase: join(here, "test") } : {}),
  outExtension: tests ? { ".js": ".mjs" } : {},
  bundle: true,
  minify: !tests,
  platform: tests ? "node" : "browser",
  format: tests ? "esm" : "iife",
  target: "es2022",
  legalComments: "inline",
  logLevel: "warning",
});
if (!tests) for (const file of ["index.html", "favicon.svg"]) cpSync(join(here, file), join(out, file));
