//! The JSON Schemas of [`super::Report`] and [`super::Run`], made from the types by a test, which keeps the committed files current.

/// That of `NAME.report.json`, as committed in `schema/report.schema.json`.
pub const REPORT: &str = include_str!("../../../schema/report.schema.json");
/// That of `NAME.run.json`, as committed in `schema/run.schema.json`.
pub const RUN: &str = include_str!("../../../schema/run.schema.json");

#[cfg(test)]
mod tests {
    use schemars::{JsonSchema, generate::SchemaSettings};

    use super::*;
    use crate::pipeline::report::{Report, Run};

    /// The schema of what `T` is written as.
    fn generate<T: JsonSchema>(title: &str) -> String {
        let settings = SchemaSettings::draft07().for_serialize();
        let mut schema = settings.into_generator().into_root_schema_for::<T>();
        schema.insert("title".to_owned(), title.into());
        // The links of the documentation lead nowhere there.
        format!("{:#}\n", schema.as_value()).replace("[`", "`").replace("`]", "`")
    }

    /// Writes them anew with `TRANSOM_BLESS=1`.
    #[test]
    fn the_committed_schemas_are_current() {
        for (name, committed, generated) in [
            ("report", REPORT, generate::<Report>("What a transom build made")),
            ("run", RUN, generate::<Run>("How one transom build went")),
        ] {
            let file = format!("schema/{name}.schema.json");
            if std::env::var_os("TRANSOM_BLESS").is_some() {
                fs_err::write(file, generated).unwrap();
            } else {
                let how = "run TRANSOM_BLESS=1 cargo test --lib report::schema";
                assert!(generated == committed, "{file} is not what the types say: {how}");
            }
        }
    }
}
