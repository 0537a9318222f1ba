// System 000: asks for a call between two people, takes its result and looks the call up.
//
//	MERCHANT_USERNAME=shop MERCHANT_KEY=... MERCHANT_A=80000 MERCHANT_B=13800138000 \
//	MERCHANT_RETURNURL=http://this-machine.example:8000/result go run call.go
//
// Go 1.18 or later, nothing else. Exit status 0: the result came and was signed by us.
package main

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

var (
	tandem   = setting("MERCHANT_URL", "http://127.0.0.1:8080")
	username = setting("MERCHANT_USERNAME", "your-username")
	key      = setting("MERCHANT_KEY", "your-key")
	// Who is rung first, and who then.
	a = setting("MERCHANT_A", "80000")
	b = setting("MERCHANT_B", "13800138000")
	// Where this program listens, and the same place as the switch reaches it.
	listen    = setting("MERCHANT_LISTEN", "0.0.0.0:8000")
	returnURL = setting("MERCHANT_RETURNURL", "http://your-server.example:8000/result")
)

const patience = 10 * time.Minute

var resultFields = []string{"callbackid", "callback_num", "callback_duration", "callback_fee",
	"destination_num", "destination_duration", "destination_fee", "callback_result"}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// sign is the MD5 of name=value&...&key=KEY: the plain values, never the escaped ones, in the order given.
func sign(fields url.Values, order ...string) string {
	base := ""
	for _, name := range order {
		base += name + "=" + fields.Get(name) + "&"
	}
	sum := md5.Sum([]byte(base + "key=" + key))
	return hex.EncodeToString(sum[:])
}

// ask sends one request; the names in order are what is signed.
func ask(what string, fields url.Values, order ...string) url.Values {
	fields.Set("sign", sign(fields, order...))
	client := http.Client{Timeout: 15 * time.Second}
	response, err := client.Get(tandem + "/api/" + what + "?" + fields.Encode())
	if err != nil {
		stop("not reached: %v", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		stop("not read: %v", err)
	}
	answer, err := url.ParseQuery(string(text))
	if err != nil || answer.Get("result") != "success" {
		stop("refused: %s", text)
	}
	return answer
}

// isOurs: all fields are there and the signature is made with our key.
func isOurs(result url.Values) bool {
	for _, name := range resultFields {
		if result.Get(name) == "" {
			return false
		}
	}
	given := strings.ToLower(result.Get("sign"))
	return subtle.ConstantTimeCompare([]byte(sign(result, resultFields...)), []byte(given)) == 1
}

func stop(format string, words ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", words...)
	os.Exit(1)
}

func main() {
	results := make(chan url.Values, 100)
	// Where the result of a call arrives. Only the word `success` tells the switch that it was taken.
	receive := func(w http.ResponseWriter, r *http.Request) {
		result := r.URL.Query()
		if !isOurs(result) {
			fmt.Fprintln(os.Stderr, "ignored: a result that is not signed with our key")
			io.WriteString(w, "wrong signature")
			return
		}
		io.WriteString(w, "success")
		results <- result
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		stop("cannot listen: %v", err)
	}
	go http.Serve(listener, http.HandlerFunc(receive))

	// Your own id of the call: asking again with the same one rings nobody twice.
	callbackID := fmt.Sprintf("go-%d", time.Now().UnixNano())
	ask("biz_callback", url.Values{
		"username": {username}, "callbackid": {callbackID}, "callback_num": {a}, "destination_num": {b},
		"returnurl": {returnURL}, "data": {"from Go"},
	}, "username", "callbackid", "callback_num", "destination_num")
	fmt.Println("asked:", callbackID)

	var result url.Values
	deadline := time.After(patience)
	// The same result may come twice, and those of other calls come here too.
	for result.Get("callbackid") != callbackID {
		select {
		case result = <-results:
		case <-deadline:
			stop("no result came: can the switch reach MERCHANT_RETURNURL?")
		}
	}
	fmt.Printf("result: %s, A %s s for %s, B %s s for %s\n", result.Get("callback_result"),
		result.Get("callback_duration"), result.Get("callback_fee"),
		result.Get("destination_duration"), result.Get("destination_fee"))

	query := url.Values{"username": {username}, "callbackid": {callbackID}}
	record := ask("biz_query", query, "username", "callbackid")
	recording := record.Get("recording")
	if recording == "" {
		recording = "none"
	}
	fmt.Printf("record: %s, %s, recording %s\n", record.Get("state"), record.Get("callback_result"), recording)
	balance := ask("biz_balance", url.Values{"username": {username}}, "username")
	fmt.Println("balance:", balance.Get("balance"))
}
