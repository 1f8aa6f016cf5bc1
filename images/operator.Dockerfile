# syntax=docker/dockerfile:1
# From the root of the sources:
#   docker buildx build --file images/operator.Dockerfile --platform linux/amd64,linux/arm64 --tag REGISTRY/gritstone-operator:TAG --push .

# The compiler runs on the builder's own machine, whatever it compiles for: emulated it would take hours.
FROM --platform=$BUILDPLATFORM rust:1-bookworm AS build
ARG TARGETARCH
WORKDIR /source
COPY . .
RUN mkdir /empty
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target,id=gritstone-target,sharing=locked \
    CARGO_TARGET_DIR=/target images/compile gritstone-operator gritstone-operator "$TARGETARCH" /gritstone-operator

FROM scratch
COPY --from=build /gritstone-operator /gritstone-operator
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chmod=1777 /empty /tmp
COPY images/etc/passwd images/etc/group /etc/
COPY LICENSE /LICENSE
ENV PATH=/
USER 65532:65532
ENTRYPOINT ["/gritstone-operator"]
LABEL org.opencontainers.image.title=gritstone-operator org.opencontainers.image.licenses=Apache-2.0
