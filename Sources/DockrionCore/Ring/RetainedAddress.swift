/// The address of an object that has been retained once more, for a word that another thread will take the reference from.
///
/// Never inlined: the optimizer sees no connection between a retain and an address in an atomic word, and moves the
/// retain behind the store (it did so in release builds). Whoever takes the word in between frees the object under the
/// hands of the one who stores it. A call that has not returned has no address to store.
@inline(never)
func retainedAddress(of object: AnyObject) -> UInt {
  UInt(bitPattern: Unmanaged.passRetained(object).toOpaque())
}
