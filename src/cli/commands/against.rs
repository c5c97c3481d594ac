//! `transom verify IMAGE --against REPORT`: whether an image is the one that a report describes, and whether the report is signed.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{keys, verify::VerifyArguments, wim::verify};
use crate::{
    base::{
        digest::{Sha1, to_hex},
        limits::Limits,
        secret,
    },
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        progress::Meter,
        text,
    },
    format::wim::{Wim, part_path},
    image::Image,
    pipeline::report::{
        described::{Described, DescribedImage, LONGEST},
        signing,
    },
    servicing::inventory::{
        Inventory,
        diff::{Area, AreaChange, changes},
    },
};

/// How much is read at once.
const PIECE: usize = 1 << 20;
/// As many differences of an area as are told a person.
const SHOWN: usize = 10;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// Every file is the one described.
    SameFile,
    /// Another file with the same images: recompressed, exported, split.
    SameImages,
    /// There is no digest to compare, because of secrets; what can be compared is alike.
    Alike,
    /// It is not what the report describes.
    Different,
}

/// What the provenance beside the report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Signature {
    /// It names the report and the output, and is signed with the given key.
    Valid,
    /// It names the report and the output, and is signed, but no key was given.
    NotChecked,
    /// There is none.
    None,
}

/// What `--json` prints. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Comparison {
    verdict: Verdict,
    signature: Signature,
    /// The id of the given key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The files of the output.
    files: Vec<FileComparison>,
    /// The images, when the files are not the ones described.
    images: Vec<ImageComparison>,
    /// What keeps the images from being compared.
    problems: Vec<String>,
    /// The environment variables that secrets came from.
    secrets: Vec<String>,
}

/// A file of the output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct FileComparison {
    path: PathBuf,
    /// The size that the report tells.
    size: u64,
    /// The size that it has; absent when it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    found_size: Option<u64>,
    /// The SHA-256 that the report tells; absent with secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The SHA-256 that it has, where it was worth reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    found_sha256: Option<String>,
}

/// An image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ImageComparison {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether its metadata, which names all its content, is that of the report; absent when the report does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_metadata: Option<bool>,
    /// What differs, from the report to the image; empty when the metadata is the same.
    changes: Vec<AreaChange>,
    /// What could not be told of the image.
    notes: Vec<String>,
}

impl FileComparison {
    fn is_same(&self) -> bool {
        self.sha256.is_some() && self.sha256 == self.found_sha256
    }
}

impl ImageComparison {
    fn is_alike(&self) -> bool {
        self.same_metadata != Some(false) && self.changes.is_empty()
    }
}

/// Runs `transom verify --against`.
pub(super) fn run(
    arguments: &VerifyArguments,
    report: &Path,
    context: &Context,
) -> Result<(), Failure> {
    let bytes = read(report)?.ok_or_else(|| missing(report, "the report"))?;
    let described = Described::parse(&bytes).map_err(|error| {
        let help =
            "--against takes NAME.report.json, which `transom build` writes beside its output";
        bad(report, &error).help(help).exit(Exit::BadInput)
    })?;
    let key = arguments.key.as_deref().map(keys::public).transpose()?;
    let signature = provenance(report, &bytes, &described, key.as_ref())?;
    let mut comparison = Comparison {
        verdict: Verdict::Different,
        signature,
        key: key.map(|key| key.id()),
        files: files(&arguments.wim, &described, context)?,
        images: Vec::new(),
        problems: Vec::new(),
        secrets: described.secrets.clone(),
    };
    if comparison.files.iter().all(FileComparison::is_same) {
        comparison.verdict = Verdict::SameFile;
    } else {
        comparison.compare_images(&arguments.wim, &described, context)?;
    }
    if arguments.json {
        context.printer.json(&comparison)?;
    } else {
        comparison.show(&arguments.wim, report, arguments.content, context)?;
    }
    match comparison.verdict {
        Verdict::SameFile => Ok(()),
        Verdict::SameImages | Verdict::Alike if arguments.content => Ok(()),
        _ => Err(Failure::silent(Exit::VerificationFailed)),
    }
}

fn missing(path: &Path, what: &str) -> Failure {
    Problem::new("verify::missing", format!("{what} {} does not exist", path.display()))
        .exit(Exit::BadInput)
}

/// A report or statement that cannot be believed.
fn bad(path: &Path, error: &dyn std::error::Error) -> Problem {
    Problem::new("verify::report", format!("{}: {}", path.display(), plain(&error.to_string())))
}

/// A text from a file, so that a terminal shows it and obeys nothing in it.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

/// The whole of a small file; `None` when there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let failed = |error: io::Error| {
        Problem::new("verify::report", format!("{} cannot be read", path.display()))
            .cause(error)
            .exit(Exit::BadInput)
    };
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(failed(io::Error::other(format!("it is longer than {}", text::size(LONGEST)))));
    }
    Ok(Some(bytes))
}

/// Holds the report against the provenance beside it.
fn provenance(
    report: &Path,
    bytes: &[u8],
    described: &Described,
    key: Option<&signing::PublicKey>,
) -> Result<Signature, Failure> {
    let name = report.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = |suffix| {
        name.strip_suffix(".report.json")
            .map(|stem| report.with_file_name(format!("{stem}{suffix}")))
    };
    let failed = |path: &Path, error: &dyn std::error::Error| {
        bad(path, error).exit(Exit::VerificationFailed)
    };
    let envelope = match beside(signing::SUFFIX) {
        Some(path) => read(&path)?.map(|envelope| (path, envelope)),
        None => None,
    };
    let Some((path, envelope)) = envelope else {
        if key.is_some() {
            return Err(no_signature(described, beside(signing::SUFFIX)));
        }
        // Without a signature it proves nothing, but one that does not fit says that something is wrong.
        if let Some(path) = beside(".provenance.json")
            && let Some(statement) = read(&path)?
        {
            let checked = described.check_statement(bytes, &statement);
            checked.map_err(|error| failed(&path, &error))?;
        }
        return Ok(Signature::None);
    };
    let payload = match key {
        Some(key) => key.open(&envelope),
        None => signing::unverified_payload(&envelope),
    };
    let payload = payload.map_err(|error| failed(&path, &error))?;
    described.check_statement(bytes, &payload).map_err(|error| failed(&path, &error))?;
    Ok(if key.is_some() { Signature::Valid } else { Signature::NotChecked })
}

fn no_signature(described: &Described, path: Option<PathBuf>) -> Failure {
    let help = if described.secrets.is_empty() {
        "`transom build --sign-key` writes NAME.provenance.dsse.json beside NAME.report.json; both names must stay as they are"
    } else {
        "the output has secrets in it, so there is no provenance that could be signed"
    };
    let place =
        path.map_or_else(|| "beside the report".to_owned(), |path| path.display().to_string());
    let message = format!("there is no signed provenance to check with the key: {place}");
    Problem::new("verify::signature", message).help(help).exit(Exit::VerificationFailed)
}

/// The files at `first` beside those that the report tells of. Their names are not the report's: the file may have been given another one.
fn files(
    first: &Path,
    described: &Described,
    context: &Context,
) -> Result<Vec<FileComparison>, Failure> {
    let mut files = Vec::new();
    for (number, part) in (1..=u16::MAX).zip(&described.output.files) {
        let path = part_path(first, number);
        let failed = |error: io::Error| {
            Problem::new("verify::image", format!("{} cannot be read", path.display()))
                .cause(error)
                .exit(Exit::BadInput)
        };
        let found_size = match fs_err::metadata(&path) {
            Ok(metadata) => Some(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && number > 1 => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(missing(&path, "the image"));
            }
            Err(error) => return Err(failed(error)),
        };
        let worth_reading = part.sha256.is_some() && found_size == Some(part.size);
        let found_sha256 = match worth_reading {
            true => digest(&path, part.size, context)?.map_err(failed)?,
            false => None,
        };
        files.push(FileComparison {
            path,
            size: part.size,
            found_size,
            sha256: part.sha256.as_ref().map(|sha256| sha256.to_ascii_lowercase()),
            found_sha256,
        });
    }
    Ok(files)
}

/// SHA-256 of a file of `size` bytes.
fn digest(
    path: &Path,
    size: u64,
    context: &Context,
) -> Result<io::Result<Option<String>>, Failure> {
    let meter = Meter::new(&context.settings, "hashing", size);
    let mut file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let (mut hasher, mut piece, mut done) = (Sha256::new(), vec![0; PIECE], 0);
    loop {
        if context.interrupt.pressed() {
            return Err(Failure::interrupted());
        }
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                hasher.update(&piece[..length]);
                done += length as u64;
                meter.at(done);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    meter.finish();
    Ok(Ok(Some(to_hex(&hasher.finalize()))))
}

impl Comparison {
    /// Compares the images in the file with those of the report.
    fn compare_images(
        &mut self,
        path: &Path,
        described: &Described,
        context: &Context,
    ) -> Result<(), Failure> {
        let wim = match Wim::open_path(path, &Limits::default()) {
            Ok(wim) => Arc::new(wim),
            Err(error) => {
                self.problems.push(format!("it cannot be read as a WIM: {}", text::chain(&error)));
                return Ok(());
            }
        };
        self.problems.extend(other_frame(&wim, described));
        let secrets = described.secrets.iter().map(String::as_str).collect();
        for image in &described.images {
            if context.interrupt.pressed() {
                return Err(Failure::interrupted());
            }
            match compare(&wim, image, &secrets) {
                Ok(compared) => self.images.push(compared),
                Err(problem) => self.problems.push(format!("image {}: {problem}", image.index)),
            }
        }
        if !self.problems.is_empty() || !self.images.iter().all(ImageComparison::is_alike) {
            return Ok(());
        }
        // The metadata names contents by their SHA-1: whether the file has them is another question.
        let verification = verify::verify(&wim, path, context)?;
        self.problems.extend(verification.problems.into_iter().map(|problem| problem.message));
        if self.problems.is_empty() {
            let proven = self.images.iter().all(|image| image.same_metadata == Some(true));
            self.verdict = if proven { Verdict::SameImages } else { Verdict::Alike };
        }
        Ok(())
    }

    fn show(
        &self,
        image: &Path,
        report: &Path,
        content: bool,
        context: &Context,
    ) -> Result<(), Failure> {
        let (image, report) = (image.display(), report.display());
        let mut out = context.printer.stdout();
        match self.verdict {
            Verdict::SameFile => {
                let parts = match &self.files[..] {
                    [file] => format!(
                        "{}, SHA-256 {}",
                        text::size(file.size),
                        file.sha256.as_deref().unwrap_or_default()
                    ),
                    files => format!(
                        "{}, {}, each by its SHA-256",
                        text::count(files.len() as u64, "part", "parts"),
                        text::size(files.iter().map(|file| file.size).sum())
                    ),
                };
                out.line(format_args!("{image}: is the file that {report} describes ({parts})"))?;
            }
            Verdict::SameImages => {
                out.line(format_args!(
                    "{image}: not the file that {report} describes, but the same {}: recompressed, exported or split since",
                    if self.images.len() == 1 { "image" } else { "images" }
                ))?;
            }
            Verdict::Alike => {
                out.line(format_args!(
                    "{image}: cannot be proven to be what {report} describes; its packages, drivers, features and settings are alike"
                ))?;
            }
            Verdict::Different => {
                out.line(format_args!("{image}: not what {report} describes"))?;
            }
        }
        if self.verdict != Verdict::SameFile {
            self.show_differences(&mut out)?;
        }
        if content && matches!(self.verdict, Verdict::SameImages | Verdict::Alike) {
            out.line("  accepted because of --content")?;
        }
        out.line(self.trust())?;
        out.finish()
    }

    fn show_differences(&self, out: &mut crate::cli::output::Out) -> Result<(), Failure> {
        for file in self.files.iter().filter(|file| !file.is_same()) {
            out.line(format_args!("  {}", file.told()))?;
        }
        for problem in &self.problems {
            out.line(format_args!("  {}", plain(problem)))?;
        }
        for image in &self.images {
            let name = image.name.as_ref().map(|name| format!(" ({})", plain(name)));
            let name = format!("image {}{}", image.index, name.unwrap_or_default());
            match (image.same_metadata, &image.changes[..]) {
                (Some(true), _) => {
                    out.line(format_args!("  {name}: the same files, by the SHA-1 of its metadata"))?;
                }
                (Some(false), []) => out.line(format_args!(
                    "  {name}: other files, registry or attributes, though packages, drivers, features and settings are alike"
                ))?,
                (None, []) => {
                    out.line(format_args!("  {name}: no digest to compare (secrets)"))?;
                }
                (_, changes) => {
                    out.line(format_args!("  {name}:"))?;
                    out.text(told(changes))?;
                }
            }
            for note in &image.notes {
                out.line(format_args!("    not told: {}", plain(note)))?;
            }
        }
        Ok(())
    }

    /// What the word of the report is worth.
    fn trust(&self) -> String {
        match (self.signature, &self.key) {
            (Signature::Valid, Some(key)) => {
                format!("signature: valid, by the key {key} (SHA-256 of its public half)")
            }
            (Signature::NotChecked, _) => {
                "signature: there is one, which was not checked; with --key PUBLIC.pem it would be"
                    .to_owned()
            }
            _ => "signature: none; a report proves only as much as the place it comes from"
                .to_owned(),
        }
    }
}

impl FileComparison {
    fn told(&self) -> String {
        let path = self.path.display();
        match (self.found_size, &self.sha256, &self.found_sha256) {
            (None, ..) => format!("{path}: missing"),
            (Some(found), ..) if found != self.size => {
                format!("{path}: {found} bytes where the report tells of {}", self.size)
            }
            (_, Some(told), Some(found)) => {
                format!("{path}: SHA-256 {found} where the report tells {}", plain(told))
            }
            _ => format!("{path}: the size is right; there is no digest to compare (secrets)"),
        }
    }
}

/// What is another around the images that the report tells of: how many there are, which one is started, what they are called, what was not built.
fn other_frame(wim: &Wim, described: &Described) -> Vec<String> {
    let (output, mut problems) = (&described.output, Vec::new());
    let (there, boot) = (wim.image_count(), wim.header().boot_index);
    let told = output.image_count.or_else(|| u32::try_from(described.images.len()).ok());
    if let Some(told) = told.filter(|told| *told != there) {
        let there = text::count(there.into(), "image", "images");
        problems.push(format!("it has {there}, the report tells of {told}"));
    }
    // An export leaves the mark out unless it is asked for; without it nothing else is started.
    if let Some(told) = output.boot_index.filter(|told| *told != boot && boot != 0) {
        let which = |index| match index {
            0 => "no image".to_owned(),
            index => format!("image {index}"),
        };
        problems.push(format!(
            "{} is marked to be started, in the report {}",
            which(boot),
            which(told)
        ));
    }
    let name = |name: Option<&str>| name.filter(|name| !name.is_empty()).map(str::to_owned);
    let own = |index| name(wim.xml().image_name(index));
    let shown = |name: Option<String>| {
        name.map_or_else(|| "no name".to_owned(), |name| format!("\"{name}\""))
    };
    let images = described.images.iter().map(|image| (image.index, &image.name));
    let mut known = BTreeSet::new();
    for (index, told) in images.chain(output.others.iter().map(|image| (image.index, &image.name)))
    {
        known.insert(index);
        let (own, told) = (own(index), name(told.as_deref()));
        if index <= there && own != told {
            let (own, told) = (shown(own), shown(told));
            problems.push(format!("image {index} has {own}, in the report {told}"));
        }
    }
    for image in output.others.iter().filter(|image| image.index <= there) {
        let found = wim.metadata_blob(image.index).ok().map(|blob| blob.sha1);
        let told = image.metadata_sha1.as_deref().and_then(Sha1::from_hex);
        if found.is_none() || found != told {
            let index = image.index;
            problems.push(format!("image {index}: not the one that was taken over from the base"));
        }
    }
    for index in (1..=there).filter(|index| !known.contains(index)) {
        let own = shown(own(index));
        problems.push(format!("image {index} ({own}): the report does not tell of it"));
    }
    problems
}

/// Compares one image with what the report says of it.
fn compare(
    wim: &Arc<Wim>,
    told: &DescribedImage,
    secrets: &BTreeSet<&str>,
) -> Result<ImageComparison, String> {
    let found = wim.metadata_blob(told.index).map_err(|error| text::chain(&error))?.sha1;
    let same_metadata = told.metadata_sha1.as_ref().map(|sha1| Sha1::from_hex(sha1) == Some(found));
    let mut compared = ImageComparison {
        index: told.index,
        name: told.name.clone(),
        same_metadata,
        changes: Vec::new(),
        notes: Vec::new(),
    };
    if same_metadata != Some(true) {
        let mut image = Image::open(Arc::clone(wim), told.index, &Limits::default())
            .map_err(|error| text::chain(&error))?;
        let inventory = Inventory::of(&mut image);
        compared.changes = changes(&told.inventory, &inventory);
        compared.notes = inventory.notes;
        compared.notes.retain(|note| !told.inventory.notes.contains(note));
        if same_metadata.is_none() && !secrets.is_empty() {
            leave_out_secrets(&mut compared, secrets);
        }
    }
    Ok(compared)
}

/// Takes out what differs because the report has `{secret NAME}` where the image has the value, which is never shown: such facts, the sizes of folders, and what
/// a note quotes.
fn leave_out_secrets(compared: &mut ImageComparison, secrets: &BTreeSet<&str>) {
    let is_secret = |text: &str| {
        let mut marks = text.split("{secret ").skip(1).filter_map(|rest| rest.split_once('}'));
        !secret::is_free_of_placeholders(text) || marks.any(|(name, _)| secrets.contains(name))
    };
    compared.changes.retain(|change| change.area != Area::Folders);
    for change in &mut compared.changes {
        // What is called after a secret is there under another name.
        let in_names = change.entries.iter().any(|entry| is_secret(&entry.name));
        change.entries.retain(|entry| {
            let mut texts =
                [Some(&entry.name), entry.label.as_ref(), entry.old.as_ref()].into_iter();
            let is_of_secret = texts.any(|text| text.is_some_and(|text| is_secret(text)));
            !(is_of_secret || in_names && entry.old.is_none())
        });
    }
    compared.changes.retain(|change| !change.entries.is_empty());
    for note in &mut compared.notes {
        note.truncate(note.find(':').unwrap_or(0));
    }
}

/// Differences by area, for a person.
fn told(changes: &[AreaChange]) -> String {
    let mut text = String::new();
    for change in changes {
        let _ = writeln!(text, "    {}:", change.area.title());
        for entry in change.entries.iter().take(SHOWN) {
            let name = plain(&entry.name);
            let _ = match (&entry.old, &entry.new) {
                (Some(old), Some(new)) => {
                    writeln!(text, "      {name}: {} -> {}", plain(old), plain(new))
                }
                (Some(_), None) => writeln!(text, "      {name}: missing"),
                (None, Some(new)) => {
                    writeln!(text, "      {name}: not in the report ({})", plain(new))
                }
                (None, None) => writeln!(text, "      {name}"),
            };
        }
        if change.entries.len() > SHOWN {
            let _ = writeln!(text, "      and {} more", change.entries.len() - SHOWN);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_report_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc\u{9b}"), "a\\u{1b}[31mb\\nc\\u{9b}");
        assert_eq!(plain("Büro 1.0"), "Büro 1.0");
    }
}
