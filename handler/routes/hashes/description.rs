//! Schemas of bodies that `functions::hashes::payload` reads and of answers that
//! depend on the format. No value of these types exists.

use functions::hashes::{HashResult, LookupAnswer, StatAnswer};
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type,
        schema::AdditionalProperties,
    },
};

/// The lists that people write. The bodies of playbooks are recognized as well:
/// incident, alert and entity triggers, `Entities - Get FileHashes`, STAT.
pub(super) enum LookupBody {}

impl PartialSchema for LookupBody {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let hashes = ArrayBuilder::new().items(text()).description(Some(
            "SHA-1 or SHA-256 hashes, at most 1,000 distinct ones.",
        ));
        let example = "97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe";
        let object = ObjectBuilder::new()
            .property("hashes", hashes)
            .required("hashes")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .examples([json!({ "hashes": [example] })]);
        let list = ArrayBuilder::new().items(text());
        let either = OneOfBuilder::new().item(object).item(list).description(Some(
            "The lists that people write. The bodies of playbooks are recognized as well: incident, alert and entity triggers, Entities - Get FileHashes, STAT.",
        ));
        either.into()
    }
}

impl ToSchema for LookupBody {}

/// The unchanged text of an advisory.
pub(super) enum PastedText {}

impl PartialSchema for PastedText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The unchanged text of an advisory."))
            .pattern(Some(r"^[^\u0000]*\S[^\u0000]*$"))
            .into()
    }
}

impl ToSchema for PastedText {}

/// JSON for one hash.
pub(super) enum OneAnswer {}

impl PartialSchema for OneAnswer {
    fn schema() -> RefOr<Schema> {
        either::<HashResult>("JSON for one hash: the result, or with format=stat what STAT takes.")
    }
}

impl ToSchema for OneAnswer {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add::<HashResult>(schemas);
        add::<StatAnswer>(schemas);
    }
}

/// JSON for a list.
pub(super) enum ListAnswer {}

impl PartialSchema for ListAnswer {
    fn schema() -> RefOr<Schema> {
        either::<LookupAnswer>("JSON for a list: the results, or with format=stat what STAT takes.")
    }
}

impl ToSchema for ListAnswer {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add::<LookupAnswer>(schemas);
        add::<StatAnswer>(schemas);
    }
}

fn either<T: ToSchema>(description: &str) -> RefOr<Schema> {
    let reference = |name: std::borrow::Cow<'_, str>| Ref::from_schema_name(name);
    OneOfBuilder::new()
        .item(reference(T::name()))
        .item(reference(StatAnswer::name()))
        .description(Some(description))
        .into()
}

fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
