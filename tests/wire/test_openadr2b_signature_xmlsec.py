"""A second opinion on signed OpenADR 2.0b messages: xmlsec (the C library) verifies ours, and ours what it signs."""

from pathlib import Path

import pytest
import xmlsec
from lxml import etree

from cem.wire.openadr2b import message_of, parse, to_bytes, tree_of
from cem.wire.openadr2b.messages import ALL, DistributeEvent, Poll, UpdateReport
from cem.wire.openadr2b.names import NAMESPACES, qualified
from cem.wire.openadr2b.shape import Element, written_instant
from cem.wire.openadr2b.signature import ReplayMemory, Signer, verified
from support.certificates import Authority, Identity
from support.oadr2b import AT, assert_valid, sample


@pytest.fixture(scope="module", params=["rsa", "ec"])
def identity(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Identity:
    folder: Path = tmp_path_factory.mktemp(request.param)
    return Authority(folder).issue("ven", request.param)


def signer(identity: Identity) -> Signer:
    return Signer(identity.key.read_bytes(), identity.certificate.read_text())


def xmlsec_agrees(body: bytes, identity: Identity) -> None:
    """Raises xmlsec.Error where it does not."""
    root = etree.fromstring(body)
    xmlsec.tree.add_ids(root, ["Id"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(identity.certificate.read_bytes(), xmlsec.KeyFormat.CERT_PEM)
    node = xmlsec.tree.find_node(root, xmlsec.Node.SIGNATURE)
    assert node is not None
    context.verify(node)


def signed_by_xmlsec(root: Element, identity: Identity, *, rsa: bool) -> bytes:
    """A payload as a foreign writer signs it: over the object and a ReplayProtect, the certificate in it."""
    method = xmlsec.Transform.RSA_SHA256 if rsa else xmlsec.Transform.ECDSA_SHA256
    signature = xmlsec.template.create(root, xmlsec.Transform.C14N, method, ns="ds")
    root.insert(0, signature)
    for uri in ("#oadrSignedObject", "#properties"):
        xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256, uri=uri)
    info = xmlsec.template.ensure_key_info(signature)
    xmlsec.template.x509_data_add_certificate(xmlsec.template.add_x509_data(info))
    container = etree.SubElement(signature, qualified("ds:Object"))
    properties = etree.SubElement(container, qualified("ds:SignatureProperties"))
    one = etree.SubElement(properties, qualified("ds:SignatureProperty"), Id="properties", Target="#oadrSignedObject")
    protect = etree.SubElement(one, qualified("dsp:ReplayProtect"), nsmap={"dsp": NAMESPACES["dsp"]})
    etree.SubElement(protect, qualified("dsp:timestamp")).text = written_instant(AT)
    etree.SubElement(protect, qualified("dsp:nonce")).text = "xmlsec"
    xmlsec.tree.add_ids(root, ["Id"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_file(str(identity.key), xmlsec.KeyFormat.PEM)
    context.key.load_cert_from_file(str(identity.certificate), xmlsec.KeyFormat.PEM)
    context.sign(signature)
    return to_bytes(root)


def test_xmlsec_verifies_what_we_sign_and_sees_that_it_was_changed(identity: Identity) -> None:
    for cls in (Poll, DistributeEvent, UpdateReport):
        xmlsec_agrees(signer(identity).seal(sample(cls, full=True), AT, "nonce"), identity)
    body = signer(identity).seal(Poll(ven_id="ven-1"), AT, "nonce")
    with pytest.raises(xmlsec.Error):
        xmlsec_agrees(body.replace(b">ven-1<", b">ven-2<"), identity)
    with pytest.raises(xmlsec.Error):
        xmlsec_agrees(body.replace(b">nonce<", b">other<"), identity)


def test_we_verify_what_xmlsec_signs(identity: Identity, request: pytest.FixtureRequest) -> None:
    rsa = request.node.callspec.params["identity"] == "rsa"
    for cls in ALL:
        message = sample(cls, full=True)
        body = signed_by_xmlsec(tree_of(message), identity, rsa=rsa)
        assert message_of(verified(parse(body), identity.fingerprint, ReplayMemory(), AT)) == message
    assert_valid(body)
