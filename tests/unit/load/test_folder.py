"""Sets of files: objects with their sources, duplicates, and what is broken."""

from weft_core.load.folder import load_files
from weft_core.model.kubernetes import Service
from weft_core.model.meta import Config
from weft_core.problems import Code, ObjectRef, Severity, Source

VS = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews}
"""
BAD = VS.replace("{host: reviews}", "{host: reviews}\n      timeout: 1s").replace("name: reviews", "name: bad")
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"


def test_objects_come_in_order_with_their_sources() -> None:
    result = load_files([("a.yaml", VS), ("b.yaml", "# c\n" + SERVICE)])
    assert result.problems == ()
    config, service = result.objects
    assert isinstance(config, Config)
    assert isinstance(service, Service)
    assert config.meta.source == Source(file="a.yaml", line=1)
    assert result.sources == {
        ObjectRef(kind="VirtualService", namespace="default", name="reviews"): Source(file="a.yaml", line=1),
        ObjectRef(kind="Service", namespace="shop", name="web"): Source(file="b.yaml", line=2),
    }


def test_namespaces_default() -> None:
    result = load_files(
        [("a.yaml", VS), ("b.yaml", SERVICE.replace(", namespace: shop", ""))], default_namespace="mine"
    )
    assert {ref.namespace for ref in result.sources} == {"mine"}
    assert {o.meta.namespace if isinstance(o, Config) else o.namespace for o in result.objects} == {"mine"}


def test_a_broken_object_is_rejected_with_file_and_line_and_the_others_are_kept() -> None:
    result = load_files([("a.yaml", BAD + "---\n" + SERVICE)])
    [problem] = result.problems
    assert str(problem) == (
        "a.yaml:9: error IST0106 VirtualService default/bad spec.http[0].route[0].timeout: "
        "unknown field `timeout` → move it to spec.http[0].timeout, beside `route`"
    )
    assert result.rejected == {ObjectRef(kind="VirtualService", namespace="default", name="bad")}
    assert [type(o) for o in result.objects] == [Service]
    assert result.unreadable == frozenset()


def test_of_duplicates_the_first_is_kept_and_both_places_are_named() -> None:
    result = load_files([("a.yaml", VS), ("b.yaml", "\n" + VS)])
    [problem] = result.problems
    assert (problem.code, problem.severity) == (Code.DUPLICATE_OBJECT, Severity.ERROR)
    assert "a.yaml:1" in problem.message
    assert problem.source == Source(file="b.yaml", line=2)
    assert len(result.objects) == 1


def test_the_same_name_in_another_namespace_or_kind_is_no_duplicate() -> None:
    other = VS.replace("name: reviews", "name: reviews, namespace: shop")
    assert load_files([("a.yaml", VS), ("b.yaml", other)]).problems == ()


def test_a_malformed_file_is_named_so_that_its_objects_can_be_held() -> None:
    result = load_files([("a.yaml", SERVICE + "---\nfoo: [\n"), ("b.yaml", VS)])
    assert result.unreadable == {"a.yaml"}
    assert len(result.objects) == 2


def test_foreign_kinds_are_noted_and_nothing_else() -> None:
    result = load_files(
        [("a.yaml", "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\n")]
    )
    assert [p.severity for p in result.problems] == [Severity.INFO]
    assert result.rejected == frozenset()


def test_port_levels_may_be_written_as_numbers() -> None:
    text = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a}
spec: {selector: {matchLabels: {app: a}}, portLevelMtls: {8080: {mode: DISABLE}}}
"""
    assert load_files([("a.yaml", text)]).problems == ()
