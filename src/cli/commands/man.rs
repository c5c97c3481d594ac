//! `transom man`: manual pages, made of the same words as `--help`.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};
use fs_err as fs;

use crate::cli::{app::Context, arguments::Arguments, exit::Failure, failures, output};

/// Write manual pages
///
/// Without --to, the page of one command goes to standard output, in the form that `man -l -` shows. With --to, a page for every command is written into
/// a folder: `transom.1`, `transom-build.1`, `transom-wim-apply.1` ...
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom man build | man -l -
  transom man --to ~/.local/share/man/man1"#)]
pub(crate) struct ManArguments {
    /// The command, such as `build` or `wim apply` [default: transom itself]
    #[arg(value_name = "COMMAND", conflicts_with = "to")]
    pub(crate) command: Vec<String>,

    /// Write all pages into this folder, which is made
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
}

/// Runs `transom man`.
pub(crate) fn run(arguments: &ManArguments, context: &Context) -> Result<(), Failure> {
    let mut root = Arguments::command().disable_help_subcommand(true);
    root.build();
    let Some(folder) = &arguments.to else {
        let command = find(&root, &arguments.command)?;
        let mut out = context.printer.raw();
        out.write(page(command).as_bytes()).map_err(output::stdout_error)?;
        return out.finish();
    };
    let written = fs::create_dir_all(folder).and_then(|()| {
        let pages = pages(&root);
        pages.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))?;
        Ok(pages.len())
    });
    let count = written.map_err(|error| failures::output(folder, error))?;
    context.printer.note(format_args!("{count} pages in {}", folder.display()));
    Ok(())
}

/// The command that `words` name below `root`.
fn find<'a>(root: &'a Command, words: &[String]) -> Result<&'a Command, Failure> {
    words.iter().try_fold(root, |command, word| {
        command.find_subcommand(word).ok_or_else(|| {
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            let below = if known.is_empty() {
                "it has no commands of its own".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            Failure::usage(format!("no command `{word}` of `{}`: {below}", display_name(command)))
        })
    })
}

/// `transom wim apply`.
fn display_name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

/// Every page by the name of its file: the command itself, then those below it.
fn pages(command: &Command) -> Vec<(String, String)> {
    let name = format!("{}.1", display_name(command).replace(' ', "-"));
    let mut all = vec![(name, page(command))];
    all.extend(command.get_subcommands().flat_map(pages));
    all
}

/// The page of a command. No date: the same program gives the same page every day.
fn page(command: &Command) -> String {
    let name = display_name(command).replace(' ', "-");
    let man = Man::new(command.clone().display_name(&name));
    let mut text = Vec::new();
    let sections = [
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    let mut rendered = sections.iter().try_for_each(|section| section(&man, &mut text));
    if command.has_subcommands() {
        rendered = rendered.and_then(|()| man.render_subcommands_section(&mut text));
    }
    rendered.expect("a vector takes everything");
    let body = String::from_utf8(text).expect("roff is text");
    // Written by hand: the library leaves an empty date out, and what follows would be taken for it.
    let title = name.to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH \"{title}\" \"1\" \"\" \"transom {version}\" \"Transom\"\n{body}{}", tail(command))
}

/// What stands behind a command's options in its help, as sections of their own, and the pages to see.
fn tail(command: &Command) -> String {
    let mut roff = Roff::new();
    let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let mut lines = after.lines();
    while let Some(heading) = lines.next() {
        let Some(heading) = heading.strip_suffix(':') else { continue };
        let title = match heading {
            "Exit codes" => "EXIT STATUS".to_owned(),
            other => other.to_uppercase(),
        };
        roff.control("SH", [title.as_str()]);
        roff.control("nf", []);
        for line in lines.by_ref().take_while(|line| !line.trim().is_empty()) {
            roff.text([roman(line.trim_start())]);
        }
        roff.control("fi", []);
    }
    let name = display_name(command);
    if let Some((above, _)) = name.rsplit_once(' ') {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold(above.replace(' ', "-")), roman("(1)")]);
    }
    roff.to_roff()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Command {
        let mut root = Arguments::command().disable_help_subcommand(true);
        root.build();
        root
    }

    #[test]
    fn every_command_has_a_page_with_its_name_options_and_examples() {
        let pages = pages(&root());
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["transom.1", "transom-build.1", "transom-wim.1", "transom-wim-apply.1"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        for (name, page) in &pages {
            let stem = name.trim_end_matches(".1");
            assert!(
                page.starts_with(&format!(".TH \"{}\" \"1\" \"\" ", stem.to_uppercase())),
                "{name}: {page}"
            );
            assert!(page.contains(".SH SYNOPSIS"), "{name}");
        }
        let build = &pages.iter().find(|(name, _)| name == "transom-build.1").unwrap().1;
        assert!(build.contains(".SH EXAMPLES"), "{build}");
        assert!(build.contains("\\-\\-locked"), "{build}");
        let root = &pages[0].1;
        assert!(root.contains(".SH \"EXIT STATUS\""), "{root}");
        assert!(root.contains("130"), "{root}");
    }

    #[test]
    fn a_command_that_is_not_there_is_refused_with_those_that_are() {
        let failure = find(&root(), &["wim".to_owned(), "aply".to_owned()]).unwrap_err();
        let text = format!("{:?}", failure.reports[0]);
        assert!(text.contains("aply") && text.contains("apply"), "{text}");
    }
}
