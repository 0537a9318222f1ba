//! Objects that a file has twice: each is told, with whatever else is wrong, before anything is written.

use billing::Store;

use super::objects::{apply, everything};
use crate::support::*;

pub(crate) async fn whatever_new_is_in_the_file_twice_is_told_with_every_other_mistake(
    store: Store,
    _: String,
) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    let more = from_toml(
        r#"
        [[groups]]
        number = "79000"
        merchant = "test"
        members = ["70000"]
        [[templates]]
        merchant = "test"
        id = "parcel"
        parts = [{ prompt = "hello" }]
        [[number_lists]]
        name = "dnc"
        numbers = ["+8613800138000"]
        [[policies]]
        name = "register"
        block = ["dnc"]
        "#,
    );
    desired.groups = more.groups;
    desired.templates = more.templates;
    desired.number_lists = more.number_lists;
    desired.policies = more.policies;
    let whole = desired.clone();
    macro_rules! twice {
        ($($kind:ident $key:literal $name:literal $there:literal),+ $(,)?) => {{
            $( let first = desired.$kind[0].clone(); desired.$kind.push(first); )+
            vec![$( (
                format!("{}[{}].{}", stringify!($kind), $there, $key),
                concat!($name, " is in the file twice").to_owned(),
            ) ),+]
        }};
    }
    let expected = twice!(
        tariffs "name" "standard" 1,
        merchants "name" "test" 2,
        sub_accounts "name" "test/desk" 2,
        extensions "number" "70000" 1,
        groups "number" "79000" 1,
        trunks "name" "carrier" 2,
        routes "prefix" "86 → carrier" 2,
        inbound "number" "861088888888" 1,
        top_ups "id" "test/first" 1,
        ytx_accounts "sid" "0123456789abcdef0123456789abcdef" 1,
        ytx_apps "appid" "11111111111111111111111111111111" 1,
        companies "companycode" "1001" 1,
        templates "id" "test/parcel" 1,
        number_lists "name" "dnc" 1,
        policies "name" "register" 1,
    );
    // What differs from the first is the same object all the same; what else is wrong is told with it.
    desired.inbound[1].number = "+86 10 8888 8888".into();
    desired.extensions[1].password = None;
    desired.policies[1].block = vec!["nobody's".into()];
    let changes = apply(&store, &desired).await;
    let mut told: Vec<(String, String)> =
        changes.mistakes.into_iter().map(|mistake| (mistake.path, mistake.message)).collect();
    let other = told.iter().position(|(path, _)| path == "policies[1].block[0]");
    told.remove(other.expect("the other mistake"));
    let password = told.iter().position(|(path, _)| path == "extensions[1].password");
    told.remove(password.expect("the password"));
    assert_eq!(told, expected);
    assert_eq!(store.merchants().await.unwrap(), []);
    assert_eq!(store.settings_version().await.unwrap(), 1);
    // Of objects that are there already the same is said.
    assert_eq!(apply(&store, &whole).await.mistakes, []);
    desired.policies[1].block = vec!["dnc".into()];
    let again = apply(&store, &desired).await.mistakes;
    let told: Vec<(String, String)> =
        again.into_iter().map(|mistake| (mistake.path, mistake.message)).collect();
    assert_eq!(told, expected);
}

pub(crate) async fn a_number_twice_is_found_by_the_number_plan_of_the_same_file(
    store: Store,
    _: String,
) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    desired.settings.as_mut().unwrap().country = "44".into();
    desired.inbound[0].number = "020 7946 0000".into();
    desired.inbound.push(desired.inbound[0].clone());
    desired.inbound[1].number = "+44 20 7946 0000".into();
    let changes = apply(&store, &desired).await;
    let told: Vec<&str> = changes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    assert_eq!(told, ["inbound[1].number"], "{:?}", changes.mistakes);
}

pub(crate) async fn two_companies_with_one_appid_and_accesskey_are_refused(
    store: Store,
    _: String,
) {
    store.migrate().await.unwrap();
    let mut desired = everything();
    let mut other = desired.companies[0].clone();
    other.companycode = "1002".into();
    other.merchant = "other".into();
    desired.companies.push(other.clone());
    let paths = async |desired: &_| -> Vec<String> {
        apply(&store, desired).await.mistakes.into_iter().map(|told| told.path).collect()
    };
    assert_eq!(paths(&desired).await, ["companies[1].accesskey"]);
    // One appid, and keys that tell them apart.
    desired.companies[1].accesskey = "k2".into();
    assert!(paths(&desired).await.is_empty());
    // Both change at once: it is what they are afterwards that counts.
    desired.companies[0].accesskey = "k2".into();
    desired.companies[1].accesskey = "k".into();
    assert!(paths(&desired).await.is_empty());
    // The other one is in the books alone.
    desired.companies.remove(0);
    desired.companies[0].accesskey = "k2".into();
    assert_eq!(paths(&desired).await, ["companies[0].accesskey"]);
    // With prune it would be gone.
    desired.prune = true;
    assert!(paths(&desired).await.is_empty());
}
