# syntax=docker/dockerfile:1

# Three stages: a compiler makes the wheel, an environment is filled from it, and the image
# that ships holds that environment alone. All three share one Python, so that the
# environment's paths and bytecode stay valid.

FROM python:3.13-bookworm AS wheels
WORKDIR /source
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY cpp cpp
COPY python python
RUN pip wheel --no-cache-dir --wheel-dir /wheels ".[serve,object-storage]"

FROM python:3.13-slim-bookworm AS environment
COPY --from=wheels /wheels /wheels
# pip compiles bytecode as it installs: without it the first start takes seconds longer.
RUN python -m venv /opt/windtunnel \
 && /opt/windtunnel/bin/pip install --no-cache-dir --compile \
    --no-index --find-links /wheels "windtunnel[serve,object-storage]"

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="windtunnel" \
      org.opencontainers.image.description="Serves models from a Windtunnel registry" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --create-home --home-dir /srv/windtunnel windtunnel \
 && install --directory --owner windtunnel --group windtunnel /srv/windtunnel/registry
COPY --from=environment /opt/windtunnel /opt/windtunnel
ENV PATH=/opt/windtunnel/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /srv/windtunnel
VOLUME ["/srv/windtunnel/registry"]
EXPOSE 8000
# urlopen raises on any status but 2xx, and the check fails with it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["windtunnel", "serve"]
CMD ["--host", "0.0.0.0", "--port", "8000"]
