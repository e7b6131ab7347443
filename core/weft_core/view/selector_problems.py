"""Selectors that pick no pods, and targets that are none: policies that look in force and protect nothing."""

from collections.abc import Iterator, Mapping

from weft_core.model.mistake import Path
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_core.registry import Registry
from weft_core.view.finding import finding
from weft_core.view.mesh import root_namespace
from weft_core.view.policy_scope import GATEWAY_NAME_LABEL, Scoped, targets
from weft_core.view.proxies import Workload
from weft_core.view.selectors import labels_of
from weft_core.view.workload_ports import selected_workloads


def pod_namespaces(db: Registry) -> tuple[str, ...]:
    """The namespaces that have pods, sorted: where a policy of the root namespace may find its workloads."""
    return tuple(sorted({namespace for namespace, _ in db.pods.all_keys()}))


def governed_namespaces(db: Registry, namespace: str) -> tuple[str, ...]:
    """The namespaces whose pods a security policy of `namespace` is about: in the root namespace, all of them."""
    return pod_namespaces(db) if namespace == root_namespace(db) else (namespace,)


def workloads_in(db: Registry, namespaces: tuple[str, ...], selector: Mapping[str, str]) -> tuple[Workload, ...]:
    """The pods of these namespaces that a selector picks."""
    return tuple(each for namespace in namespaces for each in selected_workloads(db, namespace, selector))


def selects_no_pods(
    db: Registry,
    ref: ObjectRef,
    path: Path,
    selector: Mapping[str, str],
    *,
    namespaces: tuple[str, ...],
    effect: str,
    code: str = Code.NO_MATCHING_WORKLOADS,
) -> Iterator[Problem]:
    """A finding where the selector picks none of these namespaces' pods, `effect` being what follows from it.

    None where there are no pods at all: then labels are not to blame, and files may well describe no workloads.
    """
    if not selector or not any(db.pods.by("namespace", namespace) for namespace in namespaces):
        return
    if workloads_in(db, namespaces, selector):
        return
    yield finding(
        ref,
        path,
        code=code,
        message=f"no pod has the labels {written(selector)}: {effect}",
        fix="correct the labels, or start pods that have them",
    )


def unserved_targets(db: Registry, ref: ObjectRef, spec: Scoped, effect: str) -> Iterator[Problem]:
    """The objects that a policy is attached to and that are none here, `effect` being what follows from it.

    Only a Gateway of the Gateway API has pods, by a label. People write the name of an Istio Gateway, which has not.
    """
    for index, target in enumerate(targets(spec)):
        path: Path = ("targetRefs", index) if spec.target_refs else ("targetRef",)
        if target.kind != "Gateway":
            yield finding(
                ref,
                path,
                code=Code.UNSUPPORTED_FIELD,
                severity=Severity.ERROR,
                message=f"policies attached to a {target.kind} are not in force: {effect}",
                fix="select the workloads by selector.matchLabels",
            )
            continue
        yield from selects_no_pods(
            db,
            ref,
            (*path, "name"),
            {GATEWAY_NAME_LABEL: target.name},
            namespaces=(ref.namespace,),
            effect=effect,
        )


def written(selector: Mapping[str, str]) -> str:
    """Labels as a message shows them: `app=web, version=v1`."""
    return ", ".join(f"{name}={value}" for name, value in labels_of(selector))
