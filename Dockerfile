# For a server with an NVIDIA GPU: PyPI's torch brings CUDA, the host its driver and the NVIDIA container toolkit.
#   docker build -t vitrine .
#   docker run --gpus all -p 127.0.0.1:8501:8501 -v vitrine:/home/vitrine/.vitrine vitrine
FROM python:3.11-slim

# Chromium draws the PNG and SVG exports.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends chromium fonts-dejavu-core tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 vitrine

COPY . /tmp/vitrine
RUN pip install --no-cache-dir "/tmp/vitrine[onnx,tensorboard]" && rm -rf /tmp/vitrine

USER 1000
WORKDIR /home/vitrine
# A named volume takes over the owner of the folder it is mounted on.
RUN mkdir .vitrine
EXPOSE 8501
# tini: runs are processes of their own, and somebody must collect them when they end.
ENTRYPOINT ["tini", "--", "vitrine"]
# In a container "this machine" is the container: the port is published on the host's loopback only.
CMD ["app", "--headless", "--server.address", "0.0.0.0"]
