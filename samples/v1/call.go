// /v1: has two people joined, is told of the end by a signed webhook, and reads the call back.
//
//	MERCHANT_API_KEY=tk_... MERCHANT_A=13800138000 MERCHANT_B=13900139000 \
//	MERCHANT_HOOK=http://your-host:8000/hook go run call.go
//
// The key needs the scopes calls:read, calls:write, webhooks:write and balance:read.
// Go 1.18 or later, nothing else. Exit status 0: the end was told, and the switch says the same when asked.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/ioutil"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var (
	home   = setting("MERCHANT_URL", "http://127.0.0.1:8080")
	apiKey = setting("MERCHANT_API_KEY", "tk_your-key")
	// Who is rung first, and who then.
	a      = setting("MERCHANT_A", "13800138000")
	b      = setting("MERCHANT_B", "13900139000")
	listen = setting("MERCHANT_LISTEN", "0.0.0.0:8000")
	// How the switch reaches it.
	hook = setting("MERCHANT_HOOK", "http://127.0.0.1:8000/hook")
)

const patience = 10 * time.Minute

// Events that are older, or of the future, are somebody else's.
const skew = 5 * time.Minute

// A call, as far as this program cares.
type call struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	Price   int64  `json:"price_micros"`
}

type event struct {
	Type string `json:"type"`
	Call string `json:"call"`
	Data call   `json:"data"`
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func stop(format string, words ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", words...)
	os.Exit(1)
}

// ask sends one request and reads the answer into a place of yours. Body, key and place may be missing.
func ask(method, path string, body interface{}, key string, answer interface{}) {
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body)
	}
	request, err := http.NewRequest(method, home+path, bytes.NewReader(text))
	if err != nil {
		stop("not an address: %v", err)
	}
	request.Header.Set("Authorization", "Bearer "+apiKey)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	client := http.Client{Timeout: 15 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		stop("not reached: %v", err)
	}
	defer response.Body.Close()
	text, err = ioutil.ReadAll(response.Body)
	if err != nil {
		stop("not read: %v", err)
	}
	if response.StatusCode >= 300 {
		var problem struct{ Code, Detail string }
		json.Unmarshal(text, &problem)
		stop("refused: %d %s: %s", response.StatusCode, problem.Code, problem.Detail)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			stop("not understood: %v: %s", err, text)
		}
	}
}

// isOurs says whether one of the signatures is that of this body (Standard Webhooks).
func isOurs(header http.Header, body, secret []byte) bool {
	id, stamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return false
	}
	if age := time.Since(time.Unix(seconds, 0)); age > skew || age < -skew {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	want := mac.Sum(nil)
	for _, given := range strings.Fields(header.Get("webhook-signature")) {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(given, "v1,"))
		if err == nil && strings.HasPrefix(given, "v1,") && hmac.Equal(sum, want) {
			return true
		}
	}
	return false
}

func main() {
	events := make(chan event, 100)
	var secret atomic.Value
	secret.Store([]byte{0})
	// Where events arrive. 2xx: taken; anything else: it comes again later.
	receive := func(w http.ResponseWriter, r *http.Request) {
		body, err := ioutil.ReadAll(r.Body)
		var told event
		if err != nil || !isOurs(r.Header, body, secret.Load().([]byte)) {
			fmt.Fprintln(os.Stderr, "ignored: an event that is not signed")
			w.WriteHeader(401)
		} else if json.Unmarshal(body, &told) == nil {
			w.WriteHeader(204)
			events <- told
		}
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		stop("cannot listen: %v", err)
	}
	go http.Serve(listener, http.HandlerFunc(receive))

	// In a shop of your own this is done once, and the secret kept.
	var made struct{ ID, Secret string }
	ask("POST", "/v1/webhooks",
		map[string]interface{}{"url": hook, "events": []string{"call.ended"}}, "", &made)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(made.Secret, "whsec_"))
	if err != nil {
		stop("not a secret: %v", err)
	}
	secret.Store(key)

	// With the same key the request may be sent again as often as it takes: nobody is rung twice.
	once := make([]byte, 16)
	rand.Read(once)
	wanted := map[string]interface{}{
		"to": map[string]string{"number": a}, "connect": map[string]string{"number": b}, "reference": "from Go",
	}
	var placed call
	ask("POST", "/v1/calls", wanted, hex.EncodeToString(once), &placed)
	fmt.Println("asked:", placed.ID)

	var ended event
	deadline := time.After(patience)
	// Events of other calls come here too, and each may come twice.
	for ended.Type != "call.ended" || ended.Call != placed.ID {
		select {
		case ended = <-events:
		case <-deadline:
			stop("no event came: can the switch reach MERCHANT_HOOK?")
		}
	}
	fmt.Printf("ended: %s, %d millionths\n", ended.Data.Outcome, ended.Data.Price)

	// What was missed can always be read.
	var found call
	ask("GET", "/v1/calls/"+placed.ID, nil, "", &found)
	if found != ended.Data {
		stop("what was told is not what the switch has: %v", found)
	}
	fmt.Println("checked: the switch says the same")
	ask("DELETE", "/v1/webhooks/"+made.ID, nil, "", nil)
	var balance struct {
		Available int64 `json:"available_micros"`
		Currency  string
	}
	ask("GET", "/v1/balance", nil, "", &balance)
	fmt.Printf("balance: %d millionths of %s\n", balance.Available, balance.Currency)
}
