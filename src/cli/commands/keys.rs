//! Key files: the one a build signs with, and the one a signature is held against.

use std::{
    io::{self, Read as _},
    path::Path,
};

use super::build::BuildArguments;
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
    },
    pipeline::report::signing::{PublicKey, SigningError, SigningKey},
    recipe::Recipe,
};

/// Longer is no key file.
const LONGEST: u64 = 64 << 10;

/// The key that a build signs with: of `--sign-key`, else of `TRANSOM_SIGN_KEY`; `None` when neither is given, or no report is written.
///
/// # Errors
/// When the file is no key, or a recipe has secrets: such an output has no provenance.
pub(super) fn signing(
    arguments: &BuildArguments,
    recipes: &[Recipe],
    context: &Context,
) -> Result<Option<SigningKey>, Failure> {
    let path = arguments.sign_key.as_ref().or(context.settings.sign_key.as_ref());
    let Some(path) = path.filter(|_| !arguments.no_report) else { return Ok(None) };
    if let Some(name) = recipes.iter().find_map(|recipe| recipe.secrets.keys().next()) {
        let message = format!(
            "nothing can be signed: the output has a secret in it ({name}), so its digest is not told and it has no provenance"
        );
        let help =
            "build without --sign-key and TRANSOM_SIGN_KEY, or take the secret out of the recipe";
        return Err(Problem::new("sign::secrets", message).help(help).exit(Exit::Usage));
    }
    key(path, SigningKey::from_pem).map(Some)
}

/// The public key in the file at `path`.
pub(super) fn public(path: &Path) -> Result<PublicKey, Failure> {
    key(path, PublicKey::from_pem)
}

fn key<K>(path: &Path, read: fn(&str) -> Result<K, SigningError>) -> Result<K, Failure> {
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        let message = format!("{} cannot be used as a key", path.display());
        Problem::new("sign::key", message).cause(cause).exit(Exit::BadInput)
    };
    let text = text_of(path).map_err(|error| failed(error.into()))?;
    read(&text).map_err(|error| failed(error.into()))
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs_err::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}
