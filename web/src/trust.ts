// The one Trusted Types policy of the pages. It hands htmx the fragments that our own server rendered and escaped; htmx asks
// the same origin only (`mode: same-origin`). Nothing may make scripts from text, and htmx may not evaluate any.

import htmx from "htmx.org";

interface Policy {
  createHTML(text: string): string;
  createScript(text: string): string;
}

interface TrustedTypes {
  createPolicy(name: string, rules: Policy): Policy;
}

const rules: Policy = {
  createHTML: (text) => text,
  createScript: () => refuse(),
};

function refuse(): never {
  throw new TypeError("skep's pages make no scripts from text");
}

interface Internals {
  initSecurity(policy: Policy, sync: unknown, async: unknown): void;
}

const trustedTypes = (window as { trustedTypes?: TrustedTypes }).trustedTypes;
const policy = trustedTypes ? trustedTypes.createPolicy("skep", rules) : rules;

htmx.registerExtension("skep-trust", {
  init: (internals: unknown) => (internals as Internals).initSecurity(policy, refuse, refuse),
} as never);
