//! `transom wim set`: what a WIM's XML and header say of its images.

use std::path::PathBuf;

use clap::Args;

use super::{
    place::{Existing, assembly_failure},
    select::ImageChoice,
};
use crate::{
    cli::{app::Context, exit::Failure, text},
    image::{Assembly, BlobOrder, assembly::PropertyPath},
};

/// Set name, description, properties, and the image to boot
///
/// A property is an element of the image's XML by its path, as wimlib's --image-property: WINDOWS/VERSION/BUILD, or
/// WINDOWS/LANGUAGES/LANGUAGE[2] for the second of that name. An empty value takes the element out. Only the tables are written.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim set install.wim --index 1 --name 'Windows 11 Pro' --description 'With November updates'
  transom wim set boot.wim --boot 2
  transom wim set install.wim --index 1 --property DISPLAYNAME='Our Windows' --property WINDOWS/LANGUAGES/DEFAULT=de-DE"#)]
pub(crate) struct SetArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    #[command(flatten)]
    choice: ImageChoice,

    /// Name of the image; '' for none
    #[arg(long)]
    name: Option<String>,

    /// Description of the image; '' for none
    #[arg(long)]
    description: Option<String>,

    /// Edition flags of the image, such as Professional
    #[arg(long)]
    flags: Option<String>,

    /// Another property; may be repeated
    #[arg(long = "property", value_name = "PATH=VALUE", value_parser = parse_property)]
    properties: Vec<(String, String)>,

    /// Which image is booted: a number, or `none`
    #[arg(long, value_name = "N", value_parser = parse_boot)]
    boot: Option<u32>,

    /// Write the whole file anew
    #[arg(long)]
    rebuild: bool,
}

fn parse_property(text: &str) -> Result<(String, String), String> {
    let (path, value) = text.split_once('=').ok_or("not PATH=VALUE")?;
    PropertyPath::parse(path).map_err(|error| error.to_string())?;
    Ok((path.to_owned(), value.to_owned()))
}

fn parse_boot(text: &str) -> Result<u32, String> {
    match text {
        "none" | "0" => Ok(0),
        number => number.parse().map_err(|_| "neither a number nor `none`".to_owned()),
    }
}

/// Runs `transom wim set`.
pub(crate) fn run(arguments: &SetArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    context.interrupt.cooperative();
    let named = [
        ("NAME", &arguments.name),
        ("DESCRIPTION", &arguments.description),
        ("FLAGS", &arguments.flags),
    ];
    let named = named.into_iter().filter_map(|(place, text)| Some((place, text.as_deref()?)));
    let others = arguments.properties.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let texts: Vec<(&str, &str)> = named.chain(others).collect();
    if texts.is_empty() && arguments.boot.is_none() {
        return Err(Failure::usage(
            "nothing to set: give --name, --description, --flags, --property or --boot",
        ));
    }
    let existing = Existing::open(path, context)?;
    let mut assembly = Assembly::of(&existing.wim);
    if !texts.is_empty() {
        let index = arguments.choice.one(&existing.wim, path)?;
        for (place, text) in &texts {
            PropertyPath::parse(place)
                .map_err(Into::into)
                .and_then(|place| assembly.set_text(index, &place, text))
                .map_err(|error| assembly_failure(path, error))?;
        }
    }
    if let Some(boot) = arguments.boot {
        assembly.set_boot(boot).map_err(|error| assembly_failure(path, error))?;
    }
    let settings = existing.settings();
    let plan = assembly.plan(BlobOrder::Stored).map_err(|error| assembly_failure(path, error))?;
    existing.change(&settings, plan, arguments.rebuild, context)?;
    let count = texts.len() as u64 + u64::from(arguments.boot.is_some());
    context.printer.note(format_args!(
        "set {} in {}",
        text::count(count, "property", "properties"),
        path.display()
    ));
    Ok(())
}
