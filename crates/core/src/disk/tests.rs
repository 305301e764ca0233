use super::*;

const FLOOR: u64 = 1000 << 20;

fn bytes(bytes: u64) -> Free {
    Free { bytes, files: Some(1_000_000), total_bytes: 1 << 40, id: 1 }
}

#[test]
fn a_disk_is_short_below_the_floor_and_not_again_before_a_quarter_more_is_free() {
    assert_eq!(shortage(None, bytes(FLOOR), FLOOR), None);
    let short = shortage(None, bytes(FLOOR - 1), FLOOR);
    assert_eq!(short, Some(Shortage::Bytes(FLOOR - 1)));
    assert_eq!(shortage(short, bytes(FLOOR), FLOOR), Some(Shortage::Bytes(FLOOR)));
    assert!(shortage(short, bytes(FLOOR + FLOOR / 4 - 1), FLOOR).is_some());
    assert_eq!(shortage(short, bytes(FLOOR + FLOOR / 4), FLOOR), None);
}

#[test]
fn a_disk_without_inodes_is_short_and_one_that_counts_none_is_not() {
    let few = Free { files: Some(FREE_FILES_MIN - 1), ..bytes(FLOOR * 2) };
    assert_eq!(shortage(None, few, FLOOR), Some(Shortage::Files));
    assert_eq!(shortage(None, Free { files: None, ..few }, FLOOR), None);
}

#[test]
fn without_a_floor_only_a_full_disk_and_a_refused_write_are_short() {
    assert_eq!(shortage(None, bytes(FULL_BYTES), 0), None);
    assert_eq!(shortage(None, bytes(FULL_BYTES - 1), 0), Some(Shortage::Bytes(FULL_BYTES - 1)));
    let disks = Disks::new(0);
    assert!(!disks.is_short());
    disks.refuse();
    assert!(disks.is_short() && disks.is_refused());
}

#[tokio::test]
async fn a_refused_write_lets_the_reserve_go_and_room_brings_it_back() {
    let folder = camino_tempfile::tempdir().unwrap();
    let reserve = folder.path().join("reserve");
    let disks = Disks::new(0);
    disks.look(folder.path(), None).await;
    assert!(reserve.metadata().unwrap().len() >= 1 << 20);

    disks.refuse();
    assert!(disks.look(folder.path(), None).await || disks.is_refused());
    assert!(!reserve.exists() && disks.is_refused(), "{:?}", disks.room());

    disks.look(folder.path(), None).await;
    assert!(reserve.exists() && !disks.is_short(), "{:?}", disks.room());
}

#[tokio::test]
async fn a_write_that_is_refused_while_one_looks_is_not_forgotten() {
    let folder = camino_tempfile::tempdir().unwrap();
    let disks = Disks::new(0);
    let before = disks.room();
    let looked = see(&before, 0, folder.path(), None);
    disks.refuse();
    assert!(!looked.was_refused && disks.is_refused());
    disks.look(folder.path(), None).await;
    assert!(disks.is_refused(), "the reserve is gone, and the next look tells");
}
