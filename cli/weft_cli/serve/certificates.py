"""Certificates of a cluster, put together: the root, what is signed by it, and how it reaches those who trust it."""

import ssl
from collections.abc import Awaitable, Callable, Collection, Coroutine
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from weft_cli.serve.conditional import while_wanted
from weft_cli.serve.options import Role
from weft_core.model.kubernetes import Pod
from weft_core.registry import Key
from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.root_keeper import RootKeeper, RootOptions
from weft_injector.delivery.secret_keeper import SecretKeeper
from weft_injector.delivery.secrets import SecretOptions, WorkloadSecrets
from weft_injector.delivery.signer import PodCertificateSigner, SignerOptions
from weft_injector.delivery.trust_bundles import BundleOptions, TrustBundles
from weft_injector.delivery.webhook_bundles import WebhookBundles, WebhookOptions
from weft_injector.renewer import SystemClock
from weft_injector.serving import ServingCertificate, ServingMaterial, ServingOptions, reload, webhook_context
from weft_injector.settings import ClusterFeatures, InjectionSettings
from weft_kube.client import Api

Part = tuple[Callable[[], Coroutine[Any, Any, object]], str]
"""A part that runs for ever, and its name."""


class Certificates:
    """All parts that issue, deliver or trust. What is leader's and what everybody's is told apart."""

    def __init__(
        self,
        api: Api,
        release: Release,
        *,
        trust_domain: str,
        settings: Callable[[], InjectionSettings],
        features: Callable[[], ClusterFeatures],
        namespaces: Callable[[], Collection[str]],
        known_pod: Callable[[Key], Pod | None],
        leads: Callable[[], bool],
        metrics: CollectorRegistry,
    ) -> None:
        clock = SystemClock()
        counted = CertificateMetrics(metrics)
        self._features = features

        def lifetime() -> timedelta:
            return settings().certificates.lifetime

        def authority() -> Authority:
            return self.root.authority

        self.root = RootKeeper(
            api,
            RootOptions(release=release, trust_domain=trust_domain, lifetime=lifetime),
            clock=clock,
            metrics=counted,
        )
        self.serving = ServingCertificate(
            self.root,
            ServingOptions(service=release.name, namespace=release.namespace, cluster_domain=settings().cluster_domain),
            clock=clock,
            metrics=counted,
        )
        self.bundles = TrustBundles(
            api, self.root, BundleOptions(release=release), namespaces=namespaces, clock=clock, metrics=counted
        )
        self.secrets = WorkloadSecrets(
            api,
            SecretOptions(release=release, lifetime=lifetime),
            authority=authority,
            clock=clock,
            metrics=counted,
        )
        self._keeper = SecretKeeper(api, self.secrets, self.root, clock=clock, metrics=counted)
        self._signer = PodCertificateSigner(
            api,
            SignerOptions(lifetime=lifetime),
            authority=authority,
            known_pod=known_pod,
            leads=leads,
            clock=clock,
            metrics=counted,
        )
        self._webhooks = WebhookBundles(api, self.root, WebhookOptions(release=release), clock=clock, metrics=counted)
        self._settings = settings

    def webhook_context(self, material: ServingMaterial) -> ssl.SSLContext:
        """The webhooks' TLS context, in which later certificates replace this one."""
        context = webhook_context(material)
        self.serving.used_by(lambda following: reload(context, following))
        return context

    def everybodys(self, roles: frozenset[Role]) -> tuple[Part, ...]:
        """What runs on every replica."""
        parts: list[Part] = [(self.root.run, "root"), (self.serving.run, "serving certificate")]
        if Role.INJECTOR in roles:
            parts.append((self._sign, "signer"))
        return tuple(parts)

    def leaders(self, roles: frozenset[Role]) -> tuple[Callable[[], Awaitable[None]], ...]:
        """What runs where this replica leads."""
        always = (self.root.lead, self._webhooks.lead)
        if Role.INJECTOR not in roles:
            return always
        return (*always, self.bundles.lead, self._keep_secrets)

    async def _sign(self) -> None:
        """Answer pod certificate requests while the API server has them: it may be upgraded."""
        await while_wanted(lambda: self._features().pod_certificates, self._signer.run)

    async def _keep_secrets(self) -> None:
        """Look after workloads' Secrets while they are the way: the settings may change, and the rights with them."""
        await while_wanted(lambda: not self._settings().pod_certificates(self._features()), self._keeper.lead)
