#!/usr/bin/env python3
"""Checks leaderworkerset.yaml without a cluster: against the schema of LeaderWorkerSet's own CRD, without unknown fields, and that values
agree (size and stages, GPUs and tensor parallelism, options of leader and workers). Needs Python's yaml and jsonschema.

    git clone https://github.com/kubernetes-sigs/lws
    check-leaderworkerset.py lws/config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml leaderworkerset.yaml
"""
import re
import sys

import jsonschema
import yaml


def strict(schema):
    """Kubernetes drops or refuses unknown fields; JSON Schema allows them unless told otherwise. Its int-or-string has a mark of its own."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if "properties" in schema and isinstance(schema["properties"], dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    return schema


def together(group, fail):
    template = group["spec"]["leaderWorkerTemplate"]
    options = {}
    for role in ("leader", "worker"):
        container = template[f"{role}Template"]["spec"]["containers"][0]
        options[role] = dict(item[2:].split("=", 1) for item in container["args"] if item.startswith("--") and "=" in item)
        gpus = container["resources"]["limits"]["nvidia.com/gpu"]
        if options[role]["tensor-parallel-size"] != gpus:
            fail(f"{role}: --tensor-parallel-size is {options[role]['tensor-parallel-size']}, nvidia.com/gpu {gpus}")
        if options[role]["pipeline-parallel-size"] != str(template["size"]):
            fail(f"{role}: --pipeline-parallel-size is {options[role]['pipeline-parallel-size']}, size {template['size']}")
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"] for volume in template[f"{role}Template"]["spec"]["volumes"]}
        if mounts != volumes:
            fail(f"{role}: mounts and volumes differ: {mounts ^ volumes}")
        grace = template[f"{role}Template"]["spec"]["terminationGracePeriodSeconds"]
        if grace <= int(options["leader"]["shutdown-timeout"]):
            fail(f"{role}: terminationGracePeriodSeconds {grace} is not above --shutdown-timeout")
    alone = {"served-model-name", "master-addr", "shutdown-timeout"}
    for name in sorted((set(options["leader"]) | set(options["worker"])) - alone):
        if options["leader"].get(name) != options["worker"].get(name):
            fail(f"--{name} differs: {options['leader'].get(name)}, {options['worker'].get(name)}")
    if template["restartPolicy"] != "RecreateGroupOnPodRestart":
        fail("restartPolicy")


def main(crd, manifest):
    faults = []
    with open(crd) as file:
        version = next(item for item in yaml.safe_load(file)["spec"]["versions"] if item["storage"])
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    with open(manifest) as file:
        documents = list(yaml.safe_load_all(file))
    for document in documents:
        name = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] != "LeaderWorkerSet":
            print(f"{name}: not looked at")
            continue
        for fault in jsonschema.Draft7Validator(schema).iter_errors(document):
            faults.append(f"{name}: {'.'.join(map(str, fault.absolute_path))}: {fault.message}")
        together(document, faults.append)
        for variable in re.findall(r"\$\((\w+)\)", yaml.safe_dump(document["spec"])):
            if not re.search(rf"name: {variable}\b", yaml.safe_dump(document["spec"])):
                faults.append(f"{name}: $({variable}) is not set")
        print(f"{name}: checked, {len(faults)} faults")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
