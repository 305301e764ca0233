use store::{OwnImageRecord, SmokeRecord, StoreError};
use wire::{call::ImageSource, image::SmokeView};

use crate::fixture::{at, fixture};

#[tokio::test]
async fn an_own_image_is_added_once_and_removed_with_what_is_known_of_it() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let record = |name: &str, source| OwnImageRecord { name: name.to_owned(), source, added_at: at(1) };
    let reference = record("tools", ImageSource::Reference { reference: "debian:bookworm-slim".to_owned() });
    let folder = record("folder", ImageSource::Folder { path: "/home/me/image".to_owned() });
    store.add_image(&reference).await.unwrap();
    store.add_image(&folder).await.unwrap();
    let taken = store.add_image(&record("tools", folder.source.clone())).await.unwrap_err();
    assert!(matches!(taken, StoreError::ImageNameTaken { ref name } if name == "tools"), "{taken}");
    assert_eq!(store.own_images().await.unwrap(), [folder, reference.clone()]);
    assert_eq!(store.own_image("tools").await.unwrap(), Some(reference));

    let smoke = |image: &str, passed, tried| SmokeRecord {
        image: image.to_owned(),
        image_id: "sha256:1".to_owned(),
        view: SmokeView { passed, tried, failed: vec!["git".to_owned()], at: at(2) },
    };
    store.set_smoke(&smoke("tools", false, 2)).await.unwrap();
    store.set_smoke(&smoke("script", true, 1)).await.unwrap();
    store.set_smoke(&smoke("tools", true, 3)).await.unwrap();
    let mut all = store.smokes().await.unwrap();
    all.sort_by(|one, other| one.image.cmp(&other.image));
    assert_eq!(all, [smoke("script", true, 1), smoke("tools", true, 3)]);
    store.remove_image("tools").await.unwrap();
    store.remove_image("tools").await.unwrap();
    assert_eq!(store.own_image("tools").await.unwrap(), None);
    assert_eq!(store.smokes().await.unwrap(), [smoke("script", true, 1)]);
}
