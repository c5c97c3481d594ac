//! Secrets: they are in the output, and nowhere else.

use std::path::Path;

use fs_err as fs;
use transom::{
    base::{
        base64,
        digest::{Blake3, Sha1, to_hex},
        name::Name,
        ntpath::NtPath,
        secret::{SecretForm, SecretRef, Secrets, Template},
    },
    codec::Codec,
    format::hive::{Value, ValueType},
    image::{BlobLocation, Change, Changeset, Image, ImageError, NewNode, RegistryPath},
    pipeline::{BuildError, Settings},
    plan::FailureClass,
    store::{Store, StoredBlob},
};

use crate::{
    pipeline_place::Place,
    support::{expect_success, oracle, transom},
};

pub(crate) const SECRET: &str = "correct horse <&> battery";
const KEY: &str = r"HKLM\SOFTWARE\Policies\Telemetry";

fn secrets(pairs: &[(&str, &str)]) -> Secrets {
    let mut secrets = Secrets::default();
    pairs.iter().for_each(|(name, value)| secrets.insert(*name, (*value).to_owned()));
    secrets
}

/// A place whose recipe has a secret in the registry.
pub(crate) fn place() -> Place {
    let place = Place::new(Codec::Xpress);
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 0\nToken = { env = \"TOKEN\" }");
    place
}

fn text(image: &mut Image, key: &str, value: &str) -> Option<String> {
    let key = RegistryPath::parse(key).unwrap();
    image.registry_value(&key, &Name::from(value)).unwrap().and_then(|value| value.as_text())
}

/// Every way in which a text could lie somewhere.
fn needles(secret: &str) -> Vec<Vec<u8>> {
    let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut needles = vec![secret.as_bytes().to_vec(), wide.clone()];
    for bytes in [secret.as_bytes(), &wide[..]] {
        needles.push(to_hex(bytes).into_bytes());
        needles.push(to_hex(bytes).to_uppercase().into_bytes());
        // As long as whole groups of three go: what follows may be anything.
        let whole = bytes.len() / 3 * 3;
        needles.push(base64::encode(&bytes[..whole]).into_bytes());
    }
    needles
}

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|part| part == needle)
}

/// The content of every file below `folder`; blobs of the store decoded too.
fn everything(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let store = Store::open(folder).unwrap();
    let mut all = Vec::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.unwrap();
        if !entry.file_type().is_file() {
            continue;
        }
        let name = entry.path().display().to_string();
        let bytes = fs::read(entry.path()).unwrap();
        if bytes.starts_with(b"TRNSBLOB") {
            let blob = StoredBlob {
                blake3: Blake3(bytes[64..96].try_into().unwrap()),
                sha1: Sha1(bytes[40..60].try_into().unwrap()),
                size: u64::from_le_bytes(bytes[24..32].try_into().unwrap()),
            };
            all.push((format!("{name} (decoded)"), store.read(&blob).unwrap()));
        }
        all.push((name, bytes));
    }
    all
}

pub(crate) fn assert_nowhere(all: &[(String, Vec<u8>)], secret: &str) {
    for (name, bytes) in all {
        for needle in needles(secret) {
            assert!(!has(bytes, &needle), "the secret is in {name}");
        }
    }
}

#[test]
fn a_secret_is_in_the_output_and_in_no_file_of_the_store_log_plan_or_lock() {
    let place = place();
    let home = place.folder.path();
    let run = |arguments: &[&str]| {
        let mut command = transom(home);
        command.args(arguments).args(["--cache-dir", "store"]).env("TOKEN", SECRET);
        let output = expect_success(&mut command);
        [output.stdout, output.stderr].concat()
    };
    let mut told = Vec::new();
    for arguments in [
        &["check", "recipe.toml"][..],
        &["build", "recipe.toml", "--log", "build.log", "-vv", "--json"],
        &["build", "recipe.toml", "--log", "again.log", "-vv"],
        &["plan", "recipe.toml"],
        &["plan", "recipe.toml", "--json"],
        &["plan", "recipe.toml", "--graph", "dot"],
        &["lock", "recipe.toml"],
        &["cache", "stat"],
    ] {
        told.push((format!("what {arguments:?} says"), run(arguments)));
    }
    for file in ["build.log", "again.log", "recipe.lock", "recipe.toml"] {
        told.push((file.to_owned(), place.read(file)));
    }
    let stored = everything(&place.path("store"));
    assert!(
        stored.iter().any(|(name, _)| name.ends_with("(decoded)")),
        "there is something to look at"
    );
    told.extend(stored);
    assert_nowhere(&told, SECRET);
    // The search finds what is there: the name of the variable, in a changeset and in the plan.
    assert!(told.iter().any(|(name, bytes)| name.contains("changeset") && has(bytes, b"TOKEN")));
    let said = |what: &str| {
        let found = told.iter().find(|(name, _)| name.contains(what)).unwrap();
        String::from_utf8_lossy(&found.1).into_owned()
    };
    assert!(said("what [\"plan\", \"recipe.toml\"]").contains("secrets  TOKEN"));
    assert!(said("--json").contains("\"guid\":null") || said("--json").contains("\"guid\": null"));

    let mut image = place.output_image(1);
    assert_eq!(text(&mut image, KEY, "Token").as_deref(), Some(SECRET));
    if let Some(hivexsh) = oracle("hivexsh") {
        let hive = image.read(&NtPath::parse(r"Windows\System32\config\SOFTWARE").unwrap());
        place.write("SOFTWARE", &hive.unwrap());
        place.write("commands", b"cd Policies\\Telemetry\nlsval Token\n");
        let read = hivexsh.run(["-f".into(), place.path("commands"), place.path("SOFTWARE")]);
        assert_eq!(String::from_utf8(read).unwrap().trim_end(), SECRET);
    }
}

#[test]
fn an_output_with_secrets_is_written_anew_and_follows_their_values() {
    let place = place();
    let build = |value: &str| {
        let secrets = secrets(&[("TOKEN", value)]);
        let settings = Settings { secrets: &secrets, ..Settings::default() };
        let (outcome, told) = place.try_build(&settings, usize::MAX);
        let mut image = place.output_image(1);
        (outcome.unwrap(), told, text(&mut image, KEY, "Token"), place.read("out/golden.wim"))
    };
    let (first, _, value, bytes) = build("one");
    assert_eq!((first.up_to_date, value.as_deref(), first.guid), (false, Some("one"), None));
    let (second, told, value, other) = build("two");
    assert_eq!((second.up_to_date, value.as_deref()), (false, Some("two")));
    assert!(told.applied.is_empty() && told.prepared.is_empty(), "all steps are remembered");
    assert_eq!(second.commit, first.commit);
    assert!(bytes != other);
    let (_, _, _, again) = build("one");
    assert!(bytes == again, "equal secrets give equal bytes");
    let plan = place.plan();
    let status = transom::plan::state::status(&plan, &place.store()).unwrap();
    assert!(!status.up_to_date);
    // Without the secret, the placeholder goes with it.
    place.edit("Token = { env = \"TOKEN\" }", "");
    assert_eq!(text_after(&place), None);
    place.build();
    let (outcome, _) = place.build();
    assert!(outcome.up_to_date, "without secrets it is up to date again");
}

fn text_after(place: &Place) -> Option<String> {
    place.build();
    text(&mut place.output_image(1), KEY, "Token")
}

#[test]
fn a_solid_output_has_the_secret_and_the_store_has_not() {
    let place = place();
    place.edit("path = \"out/golden.wim\"", "path = \"out/golden.wim\"\ncompression = \"solid\"");
    let secrets = secrets(&[("TOKEN", SECRET)]);
    let settings = Settings { secrets: &secrets, ..Settings::default() };
    place.try_build(&settings, usize::MAX).0.unwrap();
    assert_eq!(text(&mut place.output_image(1), KEY, "Token").as_deref(), Some(SECRET));
    assert_nowhere(&everything(&place.path("store")), SECRET);
}

#[test]
fn without_a_value_nothing_is_begun_and_the_line_is_named() {
    let place = place();
    for given in [&[][..], &[("TOKEN", "")]] {
        let secrets = secrets(given);
        let settings = Settings { secrets: &secrets, ..Settings::default() };
        let (result, told) = place.try_build(&settings, usize::MAX);
        let error = result.unwrap_err();
        assert_eq!(error.class(), FailureClass::Input);
        let BuildError::Secret(findings) = error else { panic!("{error:?}") };
        let finding = findings.iter().next().unwrap();
        let line = finding.labels().next().unwrap().origin.text().to_owned();
        assert_eq!((finding.code(), line.as_str()), ("secret::missing", "\"TOKEN\""));
        assert!(told.applied.is_empty() && !place.path("out").exists());
    }
    for (verb, code) in [("build", 5), ("plan", 0), ("check", 0), ("lock", 0)] {
        let mut command = transom(place.folder.path());
        command.args([verb, "recipe.toml", "--cache-dir", "store"]).env_remove("TOKEN");
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{verb}: {stderr}");
        assert_eq!(stderr.contains("the environment variable TOKEN has no value"), verb == "build");
    }
}

#[test]
fn an_image_holds_placeholders_until_it_is_finished() {
    let place = Place::new(Codec::Xpress);
    let mut image = crate::pipeline_place::open(&place.path("base.wim"), 1);
    let secret = SecretRef::new("TOKEN").unwrap();
    let path = NtPath::parse(r"Windows\Panther\unattend.xml").unwrap();
    let hidden = SecretForm::HiddenPassword { element: "Password".to_owned() };
    let marked = format!(
        "<a>{}</a><b>{}</b>",
        secret.placeholder(&SecretForm::Xml),
        secret.placeholder(&hidden)
    );
    let key = RegistryPath::parse(r"HKLM\SOFTWARE\A").unwrap();
    let value = |name: &str| Name::from(name);
    image.begin_step();
    image.put_template(&path, Template::new(marked.clone()), &NewNode::default()).unwrap();
    // The same bytes as a file of its own are no template.
    let plain = NtPath::parse(r"Windows\plain.xml").unwrap();
    image.put_bytes(&plain, marked.clone().into_bytes(), &NewNode::default()).unwrap();
    for name in ["stays", "Case", "goes", "becomes"] {
        image.set_secret(&key, &value(name), ValueType::SZ, &secret).unwrap();
    }
    image.set_secret(&key, &value("case"), ValueType::SZ, &secret).unwrap();
    image.delete_value(&key, &value("goes")).unwrap();
    image.set_value(&key, &Value::new("becomes", ValueType::DWORD, [1, 0, 0, 0])).unwrap();
    let changes = image.end_step();
    assert_eq!(image.read(&path).unwrap(), marked.as_bytes());
    let again = changes.0.iter().filter(|change| matches!(change, Change::SetSecret { .. }));
    assert_eq!(again.count(), 4, "the same again is no change");
    assert_eq!(Changeset::from_bytes(&changes.to_bytes()).unwrap(), changes);

    // Replayed on another copy, it comes to the same.
    let mut copy = crate::pipeline_place::open(&place.path("base.wim"), 1);
    copy.replay(&changes).unwrap();
    let finished = copy.finish_with(&secrets(&[("TOKEN", "a<b")])).unwrap();
    let contents: Vec<Vec<u8>> = finished
        .blobs
        .iter()
        .filter_map(|blob| match &blob.location {
            BlobLocation::Secret(bytes) => Some(bytes.0.to_vec()),
            BlobLocation::Template(_) => panic!("a finished image has no templates"),
            _ => None,
        })
        .collect();
    assert_eq!(contents.len(), 2, "the answer file and the hive");
    let file = "<a>a&lt;b</a><b>YQA8AGIAUABhAHMAcwB3AG8AcgBkAA==</b>";
    assert!(contents.iter().any(|bytes| bytes == file.as_bytes()));
    let wide: Vec<u8> = "a<b\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hive = contents.iter().find(|bytes| bytes.starts_with(b"regf")).unwrap();
    assert_eq!(hive.windows(wide.len()).filter(|part| *part == wide).count(), 2, "stays and Case");
    let kept = finished.blobs.iter().any(|blob| blob.sha1 == Sha1::of(marked.as_bytes()));
    assert!(kept, "the plain file is as it was");
    assert!(!format!("{:?}", finished.blobs).contains("a&lt;b"));

    let error = image.finish().unwrap_err();
    assert!(matches!(&error, ImageError::Secret(error) if error.env == "TOKEN"), "{error}");
}

#[test]
fn secrets_of_answer_file_settings_are_in_the_output_and_nowhere_else() {
    let folder = crate::support::temporary_folder();
    let home = folder.path();
    transom::cli::demo::write_workspace(home).unwrap();
    let recipe = r#"
[base]
wim = "media/install.wim"
edition = "Professional"
[unattend]
file = "unattend.xml"
administrator-password = { env = "ADMIN_PW" }
autologon = { user = "farm", password = { env = "LOGON_PW" } }
[unattend.users.farm]
password = { env = "LOGON_PW" }
[unattend.settings.specialize."Microsoft-Windows-UnattendedJoin".Identification]
JoinDomain = "contoso.test"
Credentials = { Domain = "contoso", Username = "joiner", Password = { env = "JOIN_PW" } }
[unattend.settings.offlineServicing."Microsoft-Windows-Shell-Setup"]
RegisteredOrganization = { env = "OWNERS" }
[output]
path = "out.wim"
"#;
    fs::write(home.join("recipe.toml"), recipe).unwrap();
    let values = [
        ("ADMIN_PW", "Adm1n hunter2 quartz"),
        ("LOGON_PW", "L0gon <&> marble"),
        ("JOIN_PW", "Jo1n \"basalt\" & <granite>"),
        ("OWNERS", "Owners of obsidian"),
    ];
    let run = |arguments: &[&str]| {
        let mut command = transom(home);
        command.args(arguments).args(["--cache-dir", "store"]).envs(values);
        let output = expect_success(&mut command);
        [output.stdout, output.stderr].concat()
    };
    let mut told = Vec::new();
    for arguments in [
        &["build", "recipe.toml", "--log", "build.log", "-vv", "--json"][..],
        &["build", "recipe.toml", "--log", "again.log", "-vv"],
        &["plan", "recipe.toml"],
        &["plan", "recipe.toml", "--json"],
        &["plan", "recipe.toml", "--graph", "mermaid"],
    ] {
        told.push((format!("what {arguments:?} says"), run(arguments)));
    }
    for file in ["build.log", "again.log", "recipe.lock"] {
        told.push((file.to_owned(), fs::read(home.join(file)).unwrap()));
    }
    told.extend(everything(&home.join("store")));
    for (_, value) in values {
        assert_nowhere(&told, value);
    }
    let mut image = crate::pipeline_place::open(&home.join("out.wim"), 1);
    let file = image.read(&NtPath::parse(r"Windows\Panther\unattend.xml").unwrap()).unwrap();
    let file = String::from_utf8(file).unwrap();
    let hidden = |value: &str, element: &str| {
        let wide = value.encode_utf16().chain(element.encode_utf16()).flat_map(u16::to_le_bytes);
        format!("<Value>{}</Value>", base64::encode(&wide.collect::<Vec<u8>>()))
    };
    assert!(file.contains(&hidden("Adm1n hunter2 quartz", "AdministratorPassword")), "{file}");
    assert_eq!(file.matches(&hidden("L0gon <&> marble", "Password")).count(), 2, "{file}");
    let join = "<Password>Jo1n &quot;basalt&quot; &amp; &lt;granite&gt;</Password>";
    assert!(file.contains(join) && file.contains("<PlainText>false</PlainText>"), "{file}");
    assert!(!file.contains('\u{fdd0}') && !file.contains("RegisteredOrganization"), "{file}");
    transom::format::unattend::AnswerFile::parse(file.as_bytes()).unwrap();
    let key = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
    let owners = text(&mut image, key, "RegisteredOrganization");
    assert_eq!(owners.as_deref(), Some("Owners of obsidian"));
}
