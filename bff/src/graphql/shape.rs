//! The shape of an answer, as the specification has it.
//!
//! async-graphql 7 leaves a field that failed out of its object, whether or not it can be null, and writes fields in the
//! order in which they came. A client would find a non-null field missing. Here an answer is written in the order of the
//! selection, a failed field is null, and where it cannot be, the nearest thing around it that can (October 2021, §6.4.4).

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet, Type,
    TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, PathSegment, Value};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// The types of fields, by type and name.
#[derive(Default)]
pub(crate) struct Types(HashMap<String, HashMap<String, Type>>);

impl Types {
    /// Of our own schema.
    pub(crate) fn of(sdl: &str) -> Self {
        let Ok(document) = parse_schema(sdl) else { return Self::default() };
        let mut types = HashMap::new();
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let fields = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                _ => continue,
            };
            let fields = fields
                .into_iter()
                .map(|field| (field.node.name.node.to_string(), field.node.ty.node))
                .collect();
            types.insert(definition.node.name.node.to_string(), fields);
        }
        Self(types)
    }

    fn field(&self, parent: &str, name: &str) -> Option<&Type> {
        self.0.get(parent)?.get(name)
    }

    /// The type that a field leads to, and whether to many of it.
    pub(crate) fn named(&self, parent: &str, name: &str) -> (&str, bool) {
        self.field(parent, name).map_or(("", false), |ty| (named(ty), matches!(ty.base, BaseType::List(_))))
    }
}

/// What is selected, with all fragments opened.
#[derive(Default)]
pub(crate) struct Plan {
    fields: Vec<Planned>,
    /// Where each key stands among them: a document may have thousands.
    places: HashMap<Name, usize>,
}

struct Planned {
    key: Name,
    /// Nothing is known of what introspection answers.
    ty: Option<Type>,
    below: Plan,
}

/// Fragments within fragments: a cycle, which validation refuses, ends here.
const DEEPEST: usize = 64;

impl Plan {
    pub(crate) fn new(
        types: &Types,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
    ) -> Arc<Self> {
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let mut plan = Self::default();
        plan.add(types, document, root, &operation.selection_set.node, 0);
        Arc::new(plan)
    }

    fn add(
        &mut self,
        types: &Types,
        document: &ExecutableDocument,
        parent: &str,
        selections: &SelectionSet,
        depth: usize,
    ) {
        if depth > DEEPEST {
            return;
        }
        for selection in &selections.items {
            match &selection.node {
                Selection::Field(field) => {
                    let (key, ty) =
                        (&field.node.response_key().node, types.field(parent, &field.node.name.node));
                    let next = self.fields.len();
                    let at = *self.places.entry(key.clone()).or_insert(next);
                    if at == next {
                        self.fields.push(Planned {
                            key: key.clone(),
                            ty: ty.cloned(),
                            below: Self::default(),
                        });
                    }
                    let named = ty.map_or("", named);
                    let below = &field.node.selection_set.node;
                    self.fields[at].below.add(types, document, named, below, depth + 1);
                }
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    let below = &fragment.node.selection_set.node;
                    self.add(types, document, on.unwrap_or(parent), below, depth + 1);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        self.add(types, document, on, &fragment.node.selection_set.node, depth + 1);
                    }
                }
            }
        }
    }

    fn find(&self, key: &str) -> Option<&Planned> {
        self.places.get(key).map(|at| &self.fields[*at])
    }

    /// Puts null where a field failed, or around it.
    pub(crate) fn fail(&self, data: &mut Value, path: &[PathSegment]) {
        if matches!(path.first(), Some(PathSegment::Field(_))) && !self.put(data, path) {
            *data = Value::Null;
        }
    }

    /// `false`: what is selected here cannot be null, so what is around it has to be.
    fn put(&self, object: &mut Value, path: &[PathSegment]) -> bool {
        let Some((PathSegment::Field(key), rest)) = path.split_first() else { return true };
        let Some(planned) = self.find(key) else { return true };
        // An object whose every field failed is left as null by the executor.
        if *object == Value::Null {
            *object = Value::Object(Default::default());
        }
        let Value::Object(map) = object else { return true };
        let value = map.entry(planned.key.clone()).or_insert(Value::Null);
        planned.put(value, planned.ty.as_ref(), rest)
    }
}

impl Planned {
    fn put(&self, value: &mut Value, ty: Option<&Type>, path: &[PathSegment]) -> bool {
        let nullable = ty.is_none_or(|ty| ty.nullable);
        let stands = match path.first() {
            None => {
                *value = Value::Null;
                nullable
            }
            Some(PathSegment::Index(at)) => {
                let item = ty.and_then(|ty| match &ty.base {
                    BaseType::List(item) => Some(&**item),
                    BaseType::Named(_) => None,
                });
                match value {
                    Value::List(items) => {
                        items.get_mut(*at).is_none_or(|found| self.put(found, item, &path[1..]))
                    }
                    _ => true,
                }
            }
            Some(PathSegment::Field(_)) => self.below.put(value, path),
        };
        if !stands {
            *value = Value::Null;
        }
        stands || nullable
    }
}

fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}

/// Writes data in the order of a plan.
pub(crate) struct Ordered<'a> {
    pub(crate) data: &'a Value,
    pub(crate) plan: &'a Plan,
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.data {
            Value::Object(map) => {
                let mut written = serializer.serialize_map(None)?;
                for planned in &self.plan.fields {
                    if let Some(data) = map.get(&planned.key) {
                        written.serialize_entry(&*planned.key, &Ordered { data, plan: &planned.below })?;
                    }
                }
                written.end()
            }
            Value::List(items) => {
                let mut written = serializer.serialize_seq(Some(items.len()))?;
                for data in items {
                    written.serialize_element(&Ordered { data, plan: self.plan })?;
                }
                written.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::value;

    use super::*;

    const SDL: &str = "type Query { list: [Item!]! maybe: [Item] one: Item node: Node }
        type Item implements Node { id: ID! may: Item must: Item! tags: [String!] }
        interface Node { id: ID! }";

    fn plan(query: &str) -> Arc<Plan> {
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        Plan::new(&Types::of(SDL), &document, &operation.node)
    }

    fn path(text: &str) -> Vec<PathSegment> {
        let segment = |part: &str| match part.parse() {
            Ok(at) => PathSegment::Index(at),
            Err(_) => PathSegment::Field(part.to_owned()),
        };
        text.split('.').map(segment).collect()
    }

    #[test]
    fn null_stands_where_it_can() {
        let query = "{ list { id may { id } must { id } tags } maybe { must { id } } one { ...F } node { ... on Item { m: must { id } } } }
                     fragment F on Item { must { must { id } } }";
        for (data, failed, due) in [
            (value!({"list": [{"id": 1}]}), "list.0.may", value!({"list": [{"id": 1, "may": null}]})),
            (value!({"list": [{"id": 1}]}), "list.0.must", value!(null)),
            (value!({"maybe": [null, {}]}), "maybe.0.must", value!({"maybe": [null, {}]})),
            (
                value!({"maybe": [{}, {"must": {"id": 1}}]}),
                "maybe.0.must",
                value!({"maybe": [null, {"must": {"id": 1}}]}),
            ),
            (value!({"one": {"must": null}}), "one.must.must.id", value!({"one": null})),
            (value!({"node": null, "one": null}), "node.m", value!({"node": null, "one": null})),
            (value!(null), "one", value!({"one": null})),
            (value!(null), "list", value!(null)),
            (
                value!({"list": [{"id": 1, "tags": ["a"]}]}),
                "list.0.tags.0",
                value!({"list": [{"id": 1, "tags": null}]}),
            ),
            (value!({"one": null}), "unknown.x", value!({"one": null})),
        ] {
            let mut data = data;
            plan(query).fail(&mut data, &path(failed));
            assert_eq!(data, due, "{failed}");
        }
    }

    #[test]
    fn fields_stand_in_the_order_of_the_selection() {
        let plan = plan("{ one { tags ...F id } list { id } } fragment F on Item { may { tags id } }");
        let data =
            value!({"list": [{"id": 2}], "one": {"id": 1, "may": {"id": 3, "tags": []}, "tags": ["a"]}});
        let text = serde_json::to_string(&Ordered { data: &data, plan: &plan }).unwrap();
        assert_eq!(text, r#"{"one":{"tags":["a"],"may":{"tags":[],"id":3},"id":1},"list":[{"id":2}]}"#);
    }
}
