package clients

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// restart ends the server by SIGTERM ("stop") or SIGKILL ("kill"); it listens again when this returns.
func restart(t *testing.T, how string) {
	t.Helper()
	answer, err := http.Post(os.Getenv("MILLSTREAM_REMOTE")+"/"+how, "", nil)
	must(t, err)
	must(t, answer.Body.Close())
	equal(t, answer.StatusCode, http.StatusNoContent)
}

// shared is a list that one goroutine extends and another looks at.
type shared struct {
	sync.Mutex
	all []string
}

func (s *shared) add(words ...string) {
	s.Lock()
	defer s.Unlock()
	s.all = append(s.all, words...)
}

func (s *shared) copy() []string {
	s.Lock()
	defer s.Unlock()
	return slices.Clone(s.all)
}

// Between a process's end and the next one's first answer a connection to its port is refused, for longer than three
// attempts may take. A front door holds it, as a load balancer does; without one, the application allows more attempts.
func TestRestarts(t *testing.T) {
	ways := map[string]*kinesis.Client{
		"the SDK's defaults, behind a front door": connect(os.Getenv("MILLSTREAM_DOOR_ENDPOINT")),
		"ten attempts, straight to the port": connect(os.Getenv("MILLSTREAM_RESTART_ENDPOINT"), func(o *kinesis.Options) {
			o.RetryMaxAttempts = 10
		}),
	}
	for name, client := range ways {
		t.Run(name, func(t *testing.T) { putsAndReadsGoOn(t, client) })
	}
}

func putsAndReadsGoOn(t *testing.T, client *kinesis.Client) {
	stream := create(t, client, "restart")
	given, err := client.GetShardIterator(t.Context(), fromHorizon(stream, first))
	must(t, err)
	var acknowledged, seen shared
	stopped, failed := make(chan struct{}), make(chan error, 2)
	var loops sync.WaitGroup
	loops.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stopped:
				return
			default:
			}
			if _, err := put(t.Context(), client, stream, fmt.Sprint(n)); err != nil {
				failed <- fmt.Errorf("put %d: %w", n, err)
				return
			}
			acknowledged.add(fmt.Sprint(n))
		}
	})
	// An iterator outlives the server that gave it. A shard may be read five times a second.
	loops.Go(func() {
		iterator := given.ShardIterator
		for last := false; !last; time.Sleep(200 * time.Millisecond) {
			select {
			case <-stopped:
				last = isIn(&seen, &acknowledged)
			default:
			}
			page, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: iterator})
			if err != nil {
				failed <- fmt.Errorf("read: %w", err)
				return
			}
			seen.add(texts(page.Records)...)
			iterator = page.NextShardIterator
		}
	})
	for _, how := range []string{"stop", "kill", "stop", "kill"} {
		before := len(acknowledged.copy())
		restart(t, how)
		until(t, "puts go on", func() bool { return len(acknowledged.copy()) > before+10 || len(failed) > 0 })
	}
	close(stopped)
	loops.Wait()
	if len(failed) > 0 {
		t.Fatal(<-failed)
	}
	// A put that is sent again may be there twice. None that was acknowledged is missing, and the order is kept.
	known := map[string]bool{}
	once := slices.DeleteFunc(seen.copy(), func(words string) bool {
		twice := known[words]
		known[words] = true
		return twice
	})
	same(t, once, acknowledged.copy())
}

// isIn says whether the last of `wanted` was seen.
func isIn(seen, wanted *shared) bool {
	all := wanted.copy()
	return slices.Contains(seen.copy(), all[len(all)-1])
}

func TestSubscriptionOverRestarts(t *testing.T) {
	for _, how := range []string{"stop", "kill"} {
		t.Run(how, func(t *testing.T) {
			client := connect(os.Getenv("MILLSTREAM_DOOR_ENDPOINT"))
			stream := create(t, client, "renew")
			consumer := register(t, client, stream)
			events := subscribe(t.Context(), t, client, consumer, first, horizon)
			mustPut(t, client, stream, "before")
			records, last := collect(t, events, 1)
			same(t, records, []string{"before"})
			restart(t, how)
			for event := last; event != nil; event = next(t, events) {
				last = event
			}
			// A server that is killed cannot end its streams cleanly; one that is stopped does.
			if err := events.Err(); err != nil && how == "stop" {
				t.Fatalf("the subscription ended with %v", err)
			}
			mustPut(t, client, stream, "between")
			renewed := subscribe(t.Context(), t, client, consumer, first, &types.StartingPosition{
				Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: aws.String(*last.ContinuationSequenceNumber),
			})
			records, _ = collect(t, renewed, 1)
			same(t, records, []string{"between"})
			finish(t, renewed.Close())
		})
	}
}
