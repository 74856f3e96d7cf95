# The proxy with npx and uvx, as a user without rights. How to run it: docs/container.md
#
# Nothing is fetched but packages: npm's, PyPI's, Debian's. So any Debian with Node 24 and npm on it will do as the base,
# also one that comes from no registry: docker build --build-arg BASE_IMAGE=local/base .
ARG BASE_IMAGE=node:24-bookworm-slim

# dist/ and the packages it needs at run time: plain JavaScript, whatever the architecture.
FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# No install scripts: the build runs on the base image's own Node and needs TypeScript alone.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY core core
COPY plugins plugins
COPY testing testing
# There is no .git in here to ask: docker build --build-arg COMMIT=$(git rev-parse HEAD)
ARG COMMIT=unknown
RUN node scripts/build.ts \
    && echo "$COMMIT" >dist/commit.txt \
    && chmod 755 dist/core/cli.js \
    && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
    # npm would touch and fill what a linked package has of these, each time something is installed beside it
    && npm pkg delete bin scripts devDependencies allowScripts

# uv from PyPI; the two programs stand alone.
FROM ${BASE_IMAGE} AS uv
ARG UV_VERSION=0.13.9
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip \
    && python3 -m pip install --no-cache-dir --no-deps --target /uv "uv==$UV_VERSION"

FROM ${BASE_IMAGE}
# python3 is what uvx runs servers with; tini is PID 1: it hands signals on and reaps what lost its parent.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=uv /uv/bin/uv /uv/bin/uvx /usr/local/bin/
# 1000 is the user of most Linux desktops and, as "node", of Node's images: mounted files are readable, bind mounts writable.
RUN if ! getent passwd 1000 >/dev/null; then useradd --uid 1000 --user-group --no-create-home node; fi \
    && install -d -o 1000 -g 1000 /app \
    && install -d -o 1000 -g 1000 -m 700 /data /data/home

# Outside /app, so that a folder mounted there hides nothing. It belongs to root: no server can change the proxy.
COPY LICENSE README.md /opt/mcp-proxy-server/
COPY schema /opt/mcp-proxy-server/schema
COPY --from=build /src/node_modules /opt/mcp-proxy-server/node_modules
COPY --from=build /src/package.json /opt/mcp-proxy-server/
COPY --from=build /src/dist /opt/mcp-proxy-server/dist
# The command; and `import 'mcp-proxy-server'` for a configuration in whatever folder is mounted.
RUN ln -s /opt/mcp-proxy-server/dist/core/cli.js /usr/local/bin/mcp-proxy-server \
    && mkdir /node_modules \
    && ln -s /opt/mcp-proxy-server /node_modules/mcp-proxy-server

USER 1000:1000
WORKDIR /app
# A package that has the proxy: `npm install mcp-proxy-plugin-x` and `import 'mcp-proxy-server'` work here.
RUN echo '{ "private": true, "type": "module", "dependencies": { "mcp-proxy-server": "file:/opt/mcp-proxy-server" } }' \
    >package.json \
    && mkdir node_modules \
    && ln -s /opt/mcp-proxy-server node_modules/mcp-proxy-server

# The environment wins over configuration files, so the address within the container is always this one. "local": without login
# the engine decides who reaches the port, but no public name is served.
ENV MCP_HOST=0.0.0.0 \
    MCP_PORT=8080 \
    MCP_ALLOW_UNAUTHENTICATED=local \
    MCP_DATA_DIR=/data \
    HOME=/data/home
EXPOSE 8080
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.MCP_PORT || 8080}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--", "mcp-proxy-server"]
