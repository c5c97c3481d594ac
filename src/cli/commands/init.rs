//! `transom init`: a first recipe for a WIM.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Component, Path, PathBuf},
};

use clap::Args;
use fs_err as fs;

use super::wim::{
    info,
    select::{self, ImageChoice},
};
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
    },
    format::wim::Wim,
};

/// Write a first recipe for an image of a WIM
///
/// The recipe names the image as its base and explains, in comments, what can be said of it. When the WIM has several images, choose one; without a choice they are
/// listed.
#[derive(Debug, Default, Args)]
#[command(after_long_help = r#"Examples:
  transom init media/install.wim
  transom init media/install.wim --index 2 -o server.toml"#)]
pub(crate) struct InitArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    pub(crate) wim: PathBuf,

    #[command(flatten)]
    pub(crate) choice: ImageChoice,

    /// Where to write the recipe; - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "recipe.toml")]
    pub(crate) output: PathBuf,

    /// Replace the recipe if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// Runs `transom init`.
pub(crate) fn run(arguments: &InitArguments, context: &Context) -> Result<(), Failure> {
    let (wim_path, output) = (&arguments.wim, &arguments.output);
    let wim = select::open(wim_path, context)?;
    let index = arguments.choice.one(&wim, wim_path)?;
    if output == Path::new("-") {
        return context.printer.text(recipe(&wim, index, &as_written(wim_path)));
    }
    let text = recipe(&wim, index, &from_recipe(wim_path, output));
    write(output, &text, arguments.overwrite)?;
    context.printer.line(output.display())?;
    context.printer.note(format_args!("next: transom plan {}", output.display()));
    Ok(())
}

fn write(output: &Path, text: &str, overwrite: bool) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    options.write(true).truncate(true).create(true).create_new(!overwrite);
    let mut file = options.open(output).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Problem::new("output::exists", format!("{} exists already", output.display()))
                .help("--overwrite replaces it; -o names another file")
                .exit(Exit::OutputFailed)
        }
        _ => failures::output(output, error),
    })?;
    file.write_all(text.as_bytes()).map_err(|error| failures::output(output, error))
}

/// The path of the WIM as seen from the recipe's folder, with `/`.
fn from_recipe(wim: &Path, recipe: &Path) -> String {
    let absolute = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    let folder = recipe.parent().filter(|parent| !parent.as_os_str().is_empty());
    let (Some(wim_path), Some(folder)) =
        (absolute(wim), absolute(folder.unwrap_or_else(|| Path::new("."))))
    else {
        return as_written(wim);
    };
    relative(&wim_path, &folder).unwrap_or_else(|| as_written(&wim_path))
}

/// `path` as seen from `folder`; `None` when only an absolute path leads there.
fn relative(path: &Path, folder: &Path) -> Option<String> {
    let (path, folder): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (path.components().collect(), folder.components().collect());
    let common = path.iter().zip(&folder).take_while(|(left, right)| left == right).count();
    // Nothing in common but the root: an absolute path says more.
    if common <= 1 {
        return None;
    }
    let up = folder[common..].iter().map(|_| "..".into());
    let down = path[common..].iter().map(|part| part.as_os_str().to_string_lossy());
    Some(up.chain(down).collect::<Vec<_>>().join("/"))
}

fn as_written(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// A TOML string: literal where that is possible.
fn quoted(text: &str) -> String {
    if text.contains(['\'', '\n', '\r']) || text.chars().any(char::is_control) {
        toml::Value::String(text.to_owned()).to_string()
    } else if text.contains(['\\', '"']) {
        format!("'{text}'")
    } else {
        format!("\"{text}\"")
    }
}

/// Which line selects the image: by edition or name where that means one image, else by number.
fn selection(wim: &Wim, index: u32) -> String {
    let xml = wim.xml();
    let is_alone = |value: &str, of: &dyn Fn(u32) -> Option<String>| {
        !value.is_empty()
            && (1..=wim.image_count()).filter(|other| of(*other).as_deref() == Some(value)).count()
                == 1
    };
    let edition = |index: u32| xml.image_flags_edition(index).map(str::to_owned);
    let name = |index: u32| xml.image_name(index).map(str::to_owned);
    match (edition(index), name(index)) {
        (Some(found), _) if is_alone(&found, &edition) => format!("edition = {}", quoted(&found)),
        (_, Some(found)) if is_alone(&found, &name) => format!("name = {}", quoted(&found)),
        _ => format!("index = {index}"),
    }
}

/// What tells the outputs of a WIM's images apart: `-Professional` or `-2`; nothing when it has one image.
fn output_part(wim: &Wim, index: u32) -> String {
    if wim.image_count() == 1 {
        return String::new();
    }
    let plain = |text: &&str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let edition = |index: u32| wim.xml().image_flags_edition(index).filter(plain);
    let same = |other: &u32| match (edition(*other), edition(index)) {
        (Some(other), Some(edition)) => other.eq_ignore_ascii_case(edition),
        _ => false,
    };
    match edition(index) {
        Some(edition) if (1..=wim.image_count()).filter(same).count() == 1 => format!("-{edition}"),
        _ => format!("-{index}"),
    }
}

/// The text of the recipe.
fn recipe(wim: &Wim, index: u32, wim_path: &str) -> String {
    let image = info::image_info(wim, index);
    let name = image.name.clone().filter(|name| !name.is_empty());
    let stem = Path::new(wim_path)
        .file_stem()
        .map_or_else(|| "image".into(), |stem| stem.to_string_lossy());
    let build = image.version.as_deref().and_then(|version| version.split('.').nth(2));
    let expect = [("arch", image.architecture.as_deref()), ("build", build)]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| format!("{key} = {}", quoted(value))))
        .collect::<Vec<_>>()
        .join(", ");
    let mut text = String::from(HEAD);
    let _ = writeln!(
        text,
        "[image]\nname = {}",
        quoted(&format!("{} (golden)", name.as_deref().unwrap_or(&stem)))
    );
    if let Some(description) = image.description.filter(|description| !description.is_empty()) {
        let _ = writeln!(text, "description = {}", quoted(&description));
    }
    let _ = writeln!(text, "\n[base]\nwim = {}\n{}", quoted(wim_path), selection(wim, index));
    if expect.is_empty() {
        text.push_str("# expect = { arch = \"amd64\", build = \"26100\" }   # a build on anything else is refused\n");
    } else {
        let _ = writeln!(text, "expect = {{ {expect} }}   # a build on anything else is refused");
    }
    text.push_str(BODY);
    let of = output_part(wim, index);
    let _ = writeln!(text, "[output]\npath = {}", quoted(&format!("out/{stem}{of}-golden.wim")));
    text.push_str(TAIL);
    text
}

const HEAD: &str = "\
# A recipe says what the image shall be, not what to do; the order of sections does not matter.
# For completion in an editor: `transom schema > recipe.schema.json`, and as the first line of this file:
# #:schema recipe.schema.json

";

const BODY: &str = r##"
# Take away the `#` of what you need. Paths are relative to this file; a drive letter in the image means its root.

# Updates and other packages: a .cab, a .msu, or a folder. What cannot be installed here is refused, or left to the first boot.
# [packages.kb5066835]
# source = "updates/windows11.0-kb5066835-x64.msu"
# when-not-native = "first-boot"  # refuse | first-boot | dism
#
# [packages.old]
# state = "absent"
# identity = "Package_for_KB5001" # `transom inspect image WIM --packages` lists them

# Languages of Windows itself.
# [languages.de-DE]
# source = "languages/client-language-pack-de-de.cab"

# Languages, formats, keyboards and the time zone; `defaults = "de-DE"` sets them all, single settings win.
# [locale]
# user = "de-DE"
# input = ["0407:00000407", "0409:00000409"]
# timezone = "W. Europe Standard Time"

# Optional features: enabled | disabled | removed.
# [features]
# TelnetClient = "enabled"
# NetFx3 = { state = "enabled", source = "sxs" }

# Capabilities (features on demand): present | absent.
# [capabilities]
# "OpenSSH.Server~~~~0.0.1.0" = { state = "present", source = "fod" }

# Driver packages: a folder (every .inf below it), one .inf, a .cab or a .zip.
# [drivers.storage]
# source = "drivers/viostor"
# unsigned = "refuse"             # or "allow": take what no known authority vouches for
#
# [drivers.old-network]
# state = "absent"
# inf = "oem3.inf"                # `transom inspect image WIM --drivers` lists them

# How services start: boot | system | auto | delayed | manual | disabled.
# [services]
# RemoteRegistry = "disabled"

# Registry values. A number is REG_DWORD, a text REG_SZ, a list of texts REG_MULTI_SZ; a table says more.
# [registry.'HKLM\SOFTWARE\Policies\Microsoft\Windows\DataCollection']
# AllowTelemetry = 0
# Big = { type = "qword", value = 1 }
# Gone = { absent = true }

# Files and folders.
# [[files]]
# from = "files/readme.txt"
# to = 'C:\ProgramData\Example\readme.txt'

# The answer file for Setup: a file, or settings, or both.
# [unattend]
# file = "unattend.xml"
# computer-name = "*"
# administrator-password = { env = "ADMIN_PASSWORD" }

# Scripts that run once, at the end of Setup.
# [first-boot]
# run = ["scripts/hello.cmd"]

"##;

const TAIL: &str = r#"# compression = "lzx"          # none | xpress | lzx | lzms | solid; without it as the base
# level = "high"               # fast | default | high | max: time for size
# split-mib = 3800             # a set of .swm files, for FAT32 media
# integrity = true             # write an integrity table
# images = "all"               # keep the base's other images; without it the built image alone
# epoch = 2026-11-01T00:00:00Z # time of everything new; without it the base image's own
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_toml() {
        for text in ["plain", r"C:\x", "it's", "say \"x\"", "a'\"b", "tab\there"] {
            let document: toml::Table = format!("x = {}", quoted(text)).parse().unwrap();
            assert_eq!(document["x"].as_str(), Some(text));
        }
    }

    #[test]
    fn the_wim_is_named_as_seen_from_the_recipe() {
        let path = |path: &str, folder: &str| relative(Path::new(path), Path::new(folder));
        assert_eq!(path("/work/media/a.wim", "/work/recipes/x"), Some("../../media/a.wim".into()));
        assert_eq!(path("/work/a.wim", "/work"), Some("a.wim".into()));
        assert_eq!(path("/mnt/a.wim", "/work"), None);
    }
}
