import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Prints what is at the address that is the second argument, by the one of Java's own clients that is the first. */
public final class Get {
    private Get() {}

    public static void main(String[] arguments) throws Exception {
        URI address = URI.create(arguments[1]);
        switch (arguments[0]) {
            case "HttpClient" -> {
                HttpRequest request = HttpRequest.newBuilder(address).build();
                HttpResponse<String> response =
                    HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
                if (response.statusCode() != 200) {
                    throw new IllegalStateException("answered " + response.statusCode());
                }
                System.out.print(response.body());
            }
            case "HttpURLConnection" -> {
                try (var body = address.toURL().openStream()) {
                    body.transferTo(System.out);
                }
                System.out.flush();
            }
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }
}
