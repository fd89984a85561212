# The operator's image: docker build -t lockbox-operator:dev .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY src src
# A member of the workspace: cargo wants to see it.
COPY tools tools
RUN cargo build --release --locked -p lockbox --bin lockbox-operator

FROM debian:bookworm-slim
COPY --from=build /src/target/release/lockbox-operator /usr/local/bin/lockbox-operator
# Nobody: the chart's Deployment runs as this user, with a read-only file system.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/lockbox-operator"]
CMD ["run"]
