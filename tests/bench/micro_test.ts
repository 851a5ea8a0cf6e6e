import { assertRejects } from "@std/assert";
import { measure } from "mitata";
import { test } from "node:test";
import { OPERATIONS } from "../../bench/micro/operations.ts";

for (const { name, prepare } of OPERATIONS) {
  test(`${name}: the outcome is right before and after many times`, async () => {
    const operation = prepare();
    const call = operation.next().value!;
    for (let i = 0; i < 100; i++) await call();
    operation.next();
  });
}

test("measure() times nothing whose outcome is wrong", async () => {
  await assertRejects(
    () =>
      measure(function* () {
        yield () => {};
        throw new Error("wrong");
      }, { min_cpu_time: 0 }),
    Error,
    "wrong",
  );
});
