#!/usr/bin/env python3
"""What an archive's image becomes when it is converted, worked out without a daemon.

converted.py ARCHIVE [uncompress] [oci] [ARCHITECTURE...]

Prints the digest of the image's new manifest or index. Without an architecture all of an index are kept.
"""
import gzip
import hashlib
import json
import sys
import tarfile

OCI = {
    "application/vnd.docker.distribution.manifest.list.v2+json": "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json": "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.container.image.v1+json": "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
}

archive = tarfile.open(sys.argv[1])
uncompress, oci = "uncompress" in sys.argv, "oci" in sys.argv
architectures = [word for word in sys.argv[2:] if word not in ("uncompress", "oci")]


def blob(descriptor):
    return archive.extractfile("blobs/" + descriptor["digest"].replace(":", "/")).read()


def described(descriptor, content):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return {**descriptor, "digest": digest, "size": len(content)}


def typed(descriptor):
    return {**descriptor, "mediaType": OCI.get(descriptor["mediaType"], descriptor["mediaType"])} if oci else descriptor


def layer(descriptor):
    if uncompress:
        plain = descriptor["mediaType"].removesuffix("+gzip").removesuffix(".gzip")
        descriptor = {**described(descriptor, gzip.decompress(blob(descriptor))), "mediaType": plain}
    return typed(descriptor)


def convert(descriptor):
    document = json.loads(blob(descriptor))
    if oci and "mediaType" in document:
        document = typed(document)
    if "manifests" in document:
        wanted = [m for m in document["manifests"] if not architectures or m["platform"]["architecture"] in architectures]
        document["manifests"] = [convert(manifest) for manifest in wanted]
    else:
        document["config"] = typed(document["config"])
        document["layers"] = [layer(each) for each in document["layers"]]
    return typed(described(descriptor, json.dumps(document, separators=(",", ":")).encode()))


index = json.loads(archive.extractfile("index.json").read())
print(convert(index["manifests"][0])["digest"])
