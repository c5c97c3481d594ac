//! Bills of materials and provenance: what they say, and what the public validators and OpenSSL say of them.

use std::path::Path;

use serde_json::{Value, json};
use transom::{
    base::{base64, digest::Blake3},
    codec::Codec,
    image::ImageFacts,
    pipeline::report::{
        Report, Run, documents,
        model::{AddedFile, FORMAT, FilePart, ImagePart, OutputFile},
        signing::{PublicKey, SigningKey},
    },
    servicing::inventory::{
        AppItem, CapabilityItem, DriverItem, FeatureItem, Inventory, LanguageItem, PackageItem,
    },
};

use crate::{
    pipeline_place::Place,
    support::{Tool, expect_success, oracle, python_with, temporary_folder, transom},
};

/// Reads a bill on standard input and prints what is wrong with it.
const CYCLONEDX: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read(), all_errors=True)
sys.exit(chr(10).join(str(error) for error in errors) if errors else 0)
";

/// Reads a statement as the types that in-toto publishes; an unknown field is an error.
const IN_TOTO: &str = "
import json, sys
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
text = open(sys.argv[1]).read()
read = json_format.Parse(text, statement_pb2.Statement())
statement = Statement([], '', {})
statement.pb = read
statement.validate()
json_format.Parse(json.dumps(json.loads(text)['predicate']), provenance_pb2.Provenance())
";

/// What the validators that are there say of the documents in `folder` that are called `name`.
fn validate(folder: &Path, name: &str) {
    let file = |suffix: &str| folder.join(format!("{name}{suffix}"));
    if let Some(python) =
        python_with("cyclonedx.validation.json", "cyclonedx-python-lib[json-validation]")
    {
        expect_success(python.command().args(["-c", CYCLONEDX]).arg(file(".cdx.json")));
    }
    if let Some(tool) = oracle("pyspdxtools") {
        expect_success(tool.command().arg("-i").arg(file(".spdx.json")));
    }
    let statement = file(".provenance.json");
    if statement.exists()
        && let Some(python) = python_with("in_toto_attestation", "in-toto-attestation")
    {
        expect_success(python.command().args(["-c", IN_TOTO]).arg(statement));
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    transom::base::digest::to_hex(&sha2::Sha256::digest(bytes))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

/// `transom build` of a place's recipe.
pub(crate) fn build(place: &Place, arguments: &[&str]) {
    expect_success(transom(place.folder.path()).args(["build", "recipe.toml"]).args(arguments));
}

/// A report that has one of everything, with names that ask for trouble.
fn full() -> Report {
    let package = |id: &str, state: &str| PackageItem {
        id: id.to_owned(),
        state: state.to_owned(),
        release_type: Some("Update".to_owned()),
        display_name: Some("An \"update\"\u{1}".to_owned()),
        support: None,
        manifest_sha1: Some("12".repeat(20)),
    };
    let microsoft = "Package_for_KB1~31bf3856ad364e35~amd64~~10.0.1.2";
    let driver = |published: &str, inbox| DriverItem {
        published: published.to_owned(),
        original: "net.inf".to_owned(),
        package: format!("{published}_amd64_0123456789abcdef"),
        provider: Some("Contoso (Europe) GmbH".to_owned()),
        class: Some("Net".to_owned()),
        version: "1.2.3.4".to_owned(),
        date: "2026-01-02".to_owned(),
        architecture: "amd64".to_owned(),
        signer: (published == "oem0.inf").then(|| "Contoso CA".to_owned()),
        inbox,
        active: true,
        inf_sha1: None,
    };
    let feature = |name: &str, state: &str| FeatureItem {
        name: name.to_owned(),
        state: state.to_owned(),
        package: microsoft.to_ascii_uppercase(),
    };
    let inventory = Inventory {
        facts: ImageFacts {
            major: Some(10),
            minor: Some(0),
            build: Some(26100),
            revision: Some(7),
            edition: Some("ServerDatacenter".to_owned()),
            ..ImageFacts::default()
        },
        packages: vec![
            package(microsoft, "installed"),
            package("Contoso~0011223344556677~x86~de-DE~1.0.0.0", "install-pending"),
            package("Staged~31bf3856ad364e35~amd64~~1.0.0.0", "staged"),
            package("no identity at all", "installed"),
        ],
        features: vec![
            feature("Telnet", "enabled"),
            feature("Telnet", "enable-pending"),
            feature("Off", "disabled"),
        ],
        capabilities: vec![CapabilityItem {
            id: "OpenSSH.Server~~~~0.0.1.0".to_owned(),
            state: "installed".to_owned(),
        }],
        languages: vec![LanguageItem { tag: "de-DE".to_owned(), default: true, registered: true }],
        drivers: vec![
            driver("oem0.inf", false),
            driver("oem1.inf", false),
            driver("netwtw.inf", true),
        ],
        apps: vec![AppItem {
            name: "Microsoft.BingNews".to_owned(),
            full_name: "Microsoft.BingNews_4.2_neutral_~_8wekyb3d8bbwe".to_owned(),
            version: "4.2".to_owned(),
        }],
        deferred: vec!["01-hello.cmd".to_owned()],
        notes: vec!["drivers: odd".to_owned()],
        ..Inventory::default()
    };
    let added = |path: &str, known: bool| AddedFile {
        path: path.to_owned(),
        step: "files.1".to_owned(),
        link_to: None,
        size: known.then_some(3),
        blake3: known.then(|| "ab".repeat(32)),
        sha1: known.then(|| "cd".repeat(20)),
    };
    let files = vec![
        added(r"\Data\a b#1.txt", true),
        added(r"\Data\a b-1.txt", true),
        added("\\Data\\Gr\u{fc}n\u{1}.txt", true),
        added(r"\Windows\Panther\unattend.xml", false),
    ];
    let image = |index| ImagePart {
        base_index: index,
        base_name: Some("Base".to_owned()),
        index,
        name: Some("Golden".to_owned()),
        metadata_sha1: Some("ef".repeat(20)),
        before: inventory.clone(),
        inventory: inventory.clone(),
        files: files.clone(),
        ..ImagePart::default()
    };
    let input = |name: &str, folder| FilePart {
        name: name.to_owned(),
        size: 5,
        blake3: Blake3::of(name.as_bytes()).to_hex(),
        folder,
        is: vec!["Package_for_KB1".to_owned()],
        parts: Vec::new(),
    };
    let part = |name: &str| OutputFile {
        name: name.to_owned(),
        size: 9,
        sha256: Some(sha256(name.as_bytes())),
    };
    let mut report = Report {
        format: FORMAT,
        tool_version: "0.1.0".to_owned(),
        order_table: "1".to_owned(),
        epoch: "2026-11-01T00:00:00.5Z".to_owned(),
        base: input("media/install.wim", false),
        inputs: vec![input("files/a", false), input("files/tree", true)],
        images: vec![image(1), image(2)],
        ..Report::default()
    };
    report.recipe.name = "server.toml".to_owned();
    report.recipe.files = vec![input("server.toml", false)];
    report.recipe.set = vec!["output.compression = \"lzx\"".to_owned()];
    report.recipe.variant = Some("core".to_owned());
    report.recipe.version = Some("2026.11".to_owned());
    report.recipe.lock_sha256 = sha256(b"lock");
    report.output.name = "golden.swm".to_owned();
    report.output.files = vec![part("golden.swm"), part("golden2.swm")];
    report
}

fn write(report: &Report, folder: &Path) {
    for document in documents(report, &Run::default()) {
        fs_err::write(folder.join(format!("golden{}", document.suffix)), document.bytes).unwrap();
    }
}

#[test]
fn a_report_with_one_of_everything_gives_valid_bills() {
    let folder = temporary_folder();
    write(&full(), folder.path());
    validate(folder.path(), "golden");

    let cdx = read(&folder.path().join("golden.cdx.json"));
    let components = cdx["components"].as_array().unwrap();
    let find = |reference: &str| {
        let found = components.iter().find(|component| component["bom-ref"] == reference);
        found.unwrap_or_else(|| panic!("{reference}: {cdx:#}"))
    };
    let package = find("image-1/package/Package_for_KB1~31bf3856ad364e35~amd64~~10.0.1.2");
    assert_eq!(
        (&package["name"], &package["version"]),
        (&json!("Package_for_KB1"), &json!("10.0.1.2"))
    );
    assert!(
        find("image-2/package/Contoso~0011223344556677~x86~de-DE~1.0.0.0")["supplier"].is_null()
    );
    let driver = find("image-1/driver/oem0.inf_amd64_0123456789abcdef");
    assert_eq!((&driver["type"], &driver["version"]), (&json!("device-driver"), &json!("1.2.3.4")));
    assert_eq!(driver["supplier"]["name"], "Contoso (Europe) GmbH");
    assert_eq!(find("image-1")["version"], "10.0.26100.7");
    let feature = find("image-1/feature/Telnet");
    assert_eq!(feature["version"], "10.0.1.2");
    let file = find(r"image-1/file\Data\a b#1.txt");
    assert_eq!(
        file["hashes"],
        json!([
            { "alg": "SHA-1", "content": "cd".repeat(20) },
            { "alg": "BLAKE3", "content": "ab".repeat(32) }
        ])
    );
    assert!(find(r"image-1/file\Windows\Panther\unattend.xml")["hashes"].is_null());
    let names: Vec<&str> = components.iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(!names.contains(&"Staged") && !names.contains(&"Off"), "{names:?}");
    assert!(!cdx.to_string().contains("netwtw"), "what came with Windows is the packages'");
    let depends = |reference: &str| {
        let all = cdx["dependencies"].as_array().unwrap();
        all.iter().find(|one| one["ref"] == reference).unwrap()["dependsOn"].to_string()
    };
    assert!(
        depends("output").contains("image-2") && depends("output").contains("input/files/tree")
    );
    assert!(depends("image-1").contains("oem0.inf") && depends("image-1").contains("\"base-1\""));
    assert!(depends("image-1/feature/Telnet#2").contains("Package_for_KB1"));
    assert_eq!(cdx["metadata"]["timestamp"], "2026-11-01T00:00:00Z");

    let spdx = read(&folder.path().join("golden.spdx.json"));
    let packages = spdx["packages"].as_array().unwrap();
    let analysed: Vec<&Value> =
        packages.iter().filter(|one| one["filesAnalyzed"] == true).collect();
    assert_eq!(analysed.len(), 2, "one package of files for each image");
    let code = &analysed[0]["packageVerificationCode"];
    assert_eq!(
        code["packageVerificationCodeExcludedFiles"],
        json!(["./Windows/Panther/unattend.xml"])
    );
    let all = "cd".repeat(20).repeat(3);
    let wanted = transom::base::digest::Sha1::of(all.as_bytes()).to_hex();
    assert_eq!(code["packageVerificationCodeValue"], wanted);
    assert_eq!(spdx["files"].as_array().unwrap().len(), 6);

    let statement = read(&folder.path().join("golden.provenance.json"));
    let build = &statement["predicate"]["buildDefinition"];
    assert_eq!(
        build["externalParameters"],
        json!({
            "recipe": "server.toml", "set": ["output.compression = \"lzx\""], "variant": "core"
        })
    );
    let dependencies = build["resolvedDependencies"].to_string();
    for told in ["transomTree", "\"blake3\"", &sha256(b"lock"), "media/install.wim", "server.toml"]
    {
        assert!(dependencies.contains(told), "{told}: {dependencies}");
    }
    let subjects = statement["subject"].as_array().unwrap();
    let names: Vec<&str> = subjects.iter().map(|one| one["name"].as_str().unwrap()).collect();
    let documents = ["golden.report.json", "golden.cdx.json", "golden.spdx.json"];
    assert_eq!(names[..2], ["golden.swm", "golden2.swm"]);
    assert_eq!(names[2..], documents);
    for subject in &subjects[2..] {
        let bytes = fs_err::read(folder.path().join(subject["name"].as_str().unwrap())).unwrap();
        assert_eq!(subject["digest"]["sha256"], sha256(&bytes));
    }
    assert!(statement["predicate"]["runDetails"]["metadata"].is_null(), "no times");
}

#[test]
fn a_supplier_is_told_of_what_a_signature_vouches_for_and_of_nothing_else() {
    let folder = temporary_folder();
    write(&full(), folder.path());
    let cdx = read(&folder.path().join("golden.cdx.json"));
    let components = cdx["components"].as_array().unwrap();
    for one in components.iter().filter(|one| !one["supplier"].is_null()) {
        assert!(one["bom-ref"].as_str().unwrap().contains("/driver/oem0.inf"), "{one:#}");
    }
    let property = |reference: &str, name: &str| {
        let one = components.iter().find(|one| one["bom-ref"] == reference).unwrap();
        let properties = one["properties"].as_array().unwrap();
        let found = properties.iter().find(|property| property["name"] == name);
        found.map(|property| property["value"].as_str().unwrap().to_owned())
    };
    let package = "image-1/package/Package_for_KB1~31bf3856ad364e35~amd64~~10.0.1.2";
    let token = property(package, "transom:public-key-token");
    assert_eq!(token.as_deref(), Some("31bf3856ad364e35"));
    assert_eq!(property(package, "transom:manifest-sha1"), Some("12".repeat(20)));
    let unsigned = "image-1/driver/oem1.inf_amd64_0123456789abcdef";
    let provider = property(unsigned, "transom:provider");
    assert_eq!(provider.as_deref(), Some("Contoso (Europe) GmbH"));
    let spdx =
        String::from_utf8(fs_err::read(folder.path().join("golden.spdx.json")).unwrap()).unwrap();
    assert!(!spdx.contains("Microsoft Corporation"), "{spdx}");
}

#[test]
fn the_parts_of_a_split_base_have_their_own_digests_and_no_digest_is_that_of_no_file() {
    let place = Place::new(Codec::Xpress);
    let command = ["wim", "split", "base.wim", "media/a.swm", "--size-mib", "1"];
    let noise: Vec<u8> = (0..600_000_u32).flat_map(|n| Blake3::of(&n.to_le_bytes()).0).collect();
    for number in 0..3_usize {
        let start = number * 1_000_000;
        place.write(&format!("files/noise{number}"), &noise[start..start + 1_000_000]);
        let add = format!("add files/noise{number} /noise{number}");
        expect_success(transom(place.folder.path()).args([
            "wim",
            "update",
            "base.wim",
            "--index",
            "1",
            "--command",
            &add,
        ]));
    }
    fs_err::create_dir(place.path("media")).unwrap();
    expect_success(transom(place.folder.path()).args(command));
    place.edit("wim = \"base.wim\"", "wim = \"media/a.swm\"");
    build(&place, &[]);
    let statement = read(&place.path("out/golden.provenance.json"));
    let dependencies = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    let base: Vec<&Value> = dependencies
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["annotations"]["role"] == "base")
        .collect();
    assert!(base.len() > 1, "{dependencies:#}");
    let cdx = String::from_utf8(place.read("out/golden.cdx.json")).unwrap();
    for part in base {
        let name = part["name"].as_str().unwrap();
        let digest = Blake3::of(&place.read(name)).to_hex();
        assert_eq!(part["digest"]["blake3"], digest, "{name}");
        assert!(cdx.contains(&digest), "{name}");
    }
    let report: Report = serde_json::from_slice(&place.read("out/golden.report.json")).unwrap();
    assert!(!cdx.contains(&report.base.blake3), "{cdx}");
    validate(&place.path("out"), "golden");
}

#[test]
fn serial_number_and_name_space_follow_the_content() {
    let (one, other) = (temporary_folder(), temporary_folder());
    write(&full(), one.path());
    let mut report = full();
    report.images[1].files.pop();
    write(&report, other.path());
    for (file, field) in
        [("golden.cdx.json", "serialNumber"), ("golden.spdx.json", "documentNamespace")]
    {
        let told = |folder: &Path| read(&folder.join(file))[field].as_str().unwrap().to_owned();
        let first = told(one.path());
        assert!(first.starts_with("urn:uuid:"), "{first}");
        assert_ne!(first, told(other.path()));
        write(&full(), other.path());
        assert_eq!(first, told(other.path()));
        write(&report, other.path());
    }
}

#[test]
fn two_builds_elsewhere_give_the_same_bills_and_name_every_file() {
    let names = ["report", "cdx", "spdx", "provenance"];
    let built = |codec| {
        let place = Place::new(codec);
        // More files than a report tells of one by one.
        for number in 0..250 {
            place.write(&format!("files/many/{number}.txt"), format!("number {number}").as_bytes());
        }
        place.edit(
            "[first-boot]",
            "[[files]]\nfrom = \"files/many\"\nto = 'C:\\Many'\n[first-boot]",
        );
        build(&place, &[]);
        place
    };
    let (one, other) = (built(Codec::Xpress), built(Codec::Xpress));
    for name in names {
        let file = format!("out/golden.{name}.json");
        assert!(one.read(&file) == other.read(&file), "{file}");
    }
    validate(&one.path("out"), "golden");
    let cdx = String::from_utf8(one.read("out/golden.cdx.json")).unwrap();
    for number in 0..250 {
        assert!(cdx.contains(&format!(r#""name": "\\Many\\{number}.txt""#)), "{number}");
    }
    assert!(cdx.contains(&Blake3::of(b"number 17").to_hex()));
    let statement = read(&one.path("out/golden.provenance.json"));
    assert_eq!(statement["subject"][0]["digest"]["sha256"], sha256(&one.read("out/golden.wim")));
    let (forgotten, before) = (one, other.read("out/golden.cdx.json"));
    // Nor does it matter how the output came about.
    build(&forgotten, &["--no-cache"]);
    assert!(forgotten.read("out/golden.cdx.json") == before);
}

/// Signs with OpenSSL and checks with us, and the other way round.
#[test]
fn openssl_accepts_our_signatures_and_we_accept_its() {
    let Some(openssl) = oracle("openssl") else { return };
    let place = Place::new(Codec::Xpress);
    let path = |name: &str| place.path(name).into_os_string().into_string().unwrap();
    let key = keys(&openssl, &place, "sign");
    build(&place, &["--sign-key", "sign.key"]);
    let envelope = read(&place.path("out/golden.provenance.dsse.json"));
    let payload = base64::decode(envelope["payload"].as_str().unwrap()).unwrap();
    assert!(payload == place.read("out/golden.provenance.json"));
    let signed = [
        b"DSSEv1 28 application/vnd.in-toto+json ",
        payload.len().to_string().as_bytes(),
        b" ",
        &payload,
    ]
    .concat();
    place.write("signed", &signed);
    let signature = &envelope["signatures"][0];
    place.write("signature", &base64::decode(signature["sig"].as_str().unwrap()).unwrap());
    let verify = ["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"].map(str::to_owned);
    let files =
        [path("sign.pub"), "-in".into(), path("signed"), "-sigfile".into(), path("signature")];
    openssl.run(verify.iter().chain(&files));
    let public = openssl.run(["pkey", "-pubin", "-in", &path("sign.pub"), "-outform", "DER"]);
    assert_eq!(signature["keyid"], sha256(&public));

    openssl.run([
        "pkeyutl",
        "-sign",
        "-rawin",
        "-inkey",
        &path("sign.key"),
        "-in",
        &path("signed"),
        "-out",
        &path("theirs"),
    ]);
    let mut envelope = envelope;
    envelope["signatures"] = json!([{ "sig": base64::encode(&place.read("theirs")) }]);
    let opened = key.open(envelope.to_string().as_bytes()).unwrap();
    assert!(opened == payload);
    // Ed25519 has no randomness: the same key and bytes give the same signature.
    let private =
        SigningKey::from_pem(&String::from_utf8(place.read("sign.key")).unwrap()).unwrap();
    assert!(private.sign(&payload) == place.read("out/golden.provenance.dsse.json"));
}

/// A new pair of keys, `name.key` and `name.pub`.
pub(crate) fn keys(openssl: &Tool, place: &Place, name: &str) -> PublicKey {
    let path =
        |end: &str| place.path(&format!("{name}.{end}")).into_os_string().into_string().unwrap();
    openssl.run(["genpkey", "-algorithm", "ed25519", "-out", &path("key")]);
    openssl.run(["pkey", "-in", &path("key"), "-pubout", "-out", &path("pub")]);
    PublicKey::from_pem(&fs_err::read_to_string(path("pub")).unwrap()).unwrap()
}

#[test]
fn a_key_that_cannot_sign_is_refused_before_anything_is_built() {
    let place = Place::new(Codec::Xpress);
    place.write("wrong.key", b"not a key");
    let run = |place: &Place, variable: Option<&str>, arguments: &[&str]| {
        let mut command = transom(place.folder.path());
        command.args(["build", "recipe.toml"]).args(arguments).env("TOKEN", "hunter2");
        if let Some(key) = variable {
            command.env("TRANSOM_SIGN_KEY", key);
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (variable, arguments) in
        [(None, &["--sign-key", "wrong.key"][..]), (Some("wrong.key"), &[])]
    {
        let (code, said) = run(&place, variable, arguments);
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("not an Ed25519 private key in PEM"), "{said}");
        assert!(!said.contains("not a key\n"), "nothing of a key is told: {said}");
        assert!(!place.path("out").exists());
    }
    let (code, said) = run(&place, None, &["--sign-key", "none.key"]);
    assert_eq!(code, Some(5), "{said}");
    let (code, said) = run(&place, Some("wrong.key"), &["--no-report"]);
    assert_eq!(code, Some(0), "{said}");
    fs_err::remove_dir_all(place.path("out")).unwrap();
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 0\nToken = { env = \"TOKEN\" }");
    let (code, said) = run(&place, Some("wrong.key"), &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("its digest is not told and it has no provenance"), "{said}");
    assert!(!place.path("out").exists());
}

#[test]
fn a_signature_of_an_earlier_build_goes_when_it_no_longer_holds() {
    let Some(openssl) = oracle("openssl") else { return };
    let place = Place::new(Codec::Xpress);
    keys(&openssl, &place, "sign");
    build(&place, &["--sign-key", "sign.key"]);
    let stands = || {
        let mut command = transom(place.folder.path());
        expect_success(command.args(["build", "recipe.toml"]));
        place.path("out/golden.provenance.dsse.json").is_file()
    };
    assert!(stands(), "the same build: the signature holds");
    place.write("files/one.txt", b"another one");
    assert!(!stands());
}
