package process

// lastSearched is the last word of a moduledata that searchLayout looks at.
// Go 1.27's fields of interest end at word 48.
const lastSearched = 72

// searchLayout is the way out for a future Go whose moduledata no known layout
// fits. It assumes that the shared front part stands, that fields keep their
// order and only shift, and that either form of listing the types survives:
//
//   - an address pair types, etypes with at most two words between, and behind
//     it the slices typelinks and itablinks, one after the other (Go ≤ 1.26);
//   - types, typedesclen, etypes, itaboffset, itabsize in a row (Go 1.27).
//
// Every choice must pass the validation of a known layout: descriptors that
// parse, at the places listed. A wrong choice does not get that far. Several
// sections of code (only in huge externally linked programs for some
// architectures) are not supported this way.
func (md *moduledata) searchLayout(im *image, addr uint64) bool {
	newest := moduledataLayouts[0].mapTypeSize
	for types := wordsShared; types < lastSearched; types++ {
		if md.readAs(im, addr, moduledataLayout{
			types: types, typedescs: types + 1, etypes: types + 2, itabOffset: types + 3, itabSize: types + 4, funcData: types + 6,
			mapTypeSize: newest,
		}) {
			return true
		}
		for etypes := types + 1; etypes <= types+3; etypes++ {
			for links := etypes + 1; links < lastSearched; links++ {
				if md.readAs(im, addr, moduledataLayout{
					types: types, etypes: etypes, funcData: etypes + 2, typelinks: links, itablinks: links + 3,
					mapTypeSize: newest,
				}) {
					return true
				}
			}
		}
	}
	return false
}
