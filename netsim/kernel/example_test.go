package kernel_test

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/netsim/kernel"
)

func Example() {
	runs, err := kernel.Messages(0.01, "cubic")
	if err != nil {
		fmt.Println(err)
		return
	}
	all := kernel.Pool(runs...)
	fmt.Printf("%d runs: median %v, p99 %v, later than 60 ms %.1f %%\n", len(runs),
		all.Quantile(0.5).Round(time.Millisecond), all.Quantile(0.99).Round(time.Millisecond), 100*all.Later(60*time.Millisecond))
	// Output: 3 runs: median 50ms, p99 171ms, later than 60 ms 9.6 %
}
